// lockctl txn: compares, then one list of operations or the other, all at once.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/key_json.h"
#include "bindings/cli/stdin_text.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"
#include "lockcore/base/limits.h"

namespace holdfast::cli {
namespace {

// JSON takes more room than what it says: six characters for a control character.
constexpr size_t kMaxJsonBytes = 8 * base::kMaxTxnBytes;

std::string text_of(const TxnOpResult& result) {
  if (result.kind == TxnOp::Kind::remove) return result.removed ? "deleted" : "not there";
  if (!result.pair) return "not there";
  const std::string what = result.kind == TxnOp::Kind::put ? "put " : "";
  return what + result.pair->key + "=" + result.pair->value +
         " revision=" + std::to_string(result.pair->revision);
}

int txn(Context& context, const std::string& file) {
  TxnText text = txn_from_json(read_all(file, kMaxJsonBytes));
  const TxnResult result =
      context.connect().txn(std::move(text.compare), std::move(text.then), std::move(text.orelse));
  if (context.globals.json) {
    context.out.line(to_json(result));
    return kExitDone;
  }
  context.out.line(std::string(result.succeeded ? "then" : "orelse") +
                   " revision=" + std::to_string(result.revision));
  for (const TxnOpResult& each : result.results) context.out.line(printable(text_of(each)));
  return kExitDone;
}

}  // namespace

void add_txn(Verbs& verbs) {
  auto file = std::make_shared<std::string>("-");
  CLI::App* app = verbs.add(
      "txn", "Compare keys, then change some, all at once",
      "Reads JSON from FILE or stdin: {\"compare\":[...],\"then\":[...],\"orelse\":[...]}. If all\n"
      "compares hold, \"then\" is done, else \"orelse\"; exit 0 either way, and which it was is\n"
      "printed.\n"
      "  compares    [T, KEY, R, X]  T: \"value\", \"version\", \"revision\" or \"create\"\n"
      "                              R: \"==\", \"!=\", \"<\" or \">\"\n"
      "              [\"holds\", LOCK, \"==\", TOKEN]\n"
      "  operations  [\"get\", KEY]  [\"delete\", KEY]  [\"put\", KEY, VALUE]\n"
      "              [\"put\", KEY, VALUE, LEASE]\n"
      "A key that isn't there has version, revision and create 0, and no value.\n"
      "\nExample:\n"
      "  echo '{\"compare\":[[\"revision\",\"leader\",\"==\",0]],\n"
      "         \"then\":[[\"put\",\"leader\",\"host:1\"]],\n"
      "         \"orelse\":[[\"get\",\"leader\"]]}' | lockctl -o json txn");
  add_text(app, "FILE", *file, "Where the transaction is; - or none: stdin")->type_name("");
  verbs.on(app, [file](Context& context) { return txn(context, *file); });
}

}  // namespace holdfast::cli
