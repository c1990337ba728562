// Answers as bytes, as they are kept for retries. As batches are: see command_codec.cc.
#include "lockcore/base/command.capnp.h"
#include "lockcore/locks/codec.h"
#include "lockcore/locks/command.h"

namespace holdfast::locks {

using namespace codec;

namespace {

void put_answer(wire::Answer::Builder out, const ClientRegistered& answer) {
  out.setClientRegistered(answer.client.value);
}
void put_answer(wire::Answer::Builder out, const LeaseOpened& answer) {
  auto opened = out.initLeaseOpened();
  opened.setLease(answer.lease.value);
  opened.setTtlMs(answer.ttl_ms);
  opened.setSecret(data(answer.secret));
  opened.setDropOnDisconnect(answer.drop_on_disconnect);
}
void put_answer(wire::Answer::Builder out, const Granted& answer) {
  auto tokens = out.initGranted(static_cast<unsigned>(answer.tokens.size()));
  for (unsigned i = 0; i < tokens.size(); ++i) tokens.set(i, answer.tokens[i].value);
}
void put_answer(wire::Answer::Builder out, const Done& answer) {
  out.setDone(answer.revision.value);
}
void put_answer(wire::Answer::Builder out, const WaitCancelled&) {
  out.setWaitCancelled();
}
void put_row(wire::KeyValue::Builder out, const base::KeyRow& row) {
  out.setKey(text(row.key));
  out.setValue(data(row.value));
  out.setCreateRevision(row.create.value);
  out.setRevision(row.revision.value);
  out.setVersion(row.version);
  out.setLease(row.lease.value);
}
void put_answer(wire::Answer::Builder out, const TxnDone& answer) {
  auto done = out.initTxnDone();
  done.setSucceeded(answer.succeeded);
  done.setRevision(answer.revision.value);
  auto results = done.initResults(static_cast<unsigned>(answer.results.size()));
  for (unsigned i = 0; i < results.size(); ++i) {
    const OpResult& result = answer.results[i];
    switch (result.kind) {
      case OpResult::Kind::kNone: results[i].setNone(); break;
      case OpResult::Kind::kFound: put_row(results[i].initFound(), result.row); break;
      case OpResult::Kind::kStored: put_row(results[i].initStored(), result.row); break;
      case OpResult::Kind::kDeleted: results[i].setDeleted(true); break;
      case OpResult::Kind::kNotDeleted: results[i].setDeleted(false); break;
    }
  }
}
void put_answer(wire::Answer::Builder out, const base::Error& answer) {
  auto error = out.initError();
  error.setCode(static_cast<uint16_t>(answer.code));
  error.setMessage(text(answer.message));
  auto detail = error.initDetail(static_cast<unsigned>(answer.detail.size()));
  for (unsigned i = 0; i < detail.size(); ++i) {
    detail[i].setName(text(answer.detail[i].first));
    detail[i].setValue(text(answer.detail[i].second));
  }
}

base::Error get_error(wire::Error::Reader in) {
  if (in.getCode() > static_cast<uint16_t>(base::ErrorCode::kUnknownClient)) {
    throw NotOfThisVersion{"error code " + std::to_string(in.getCode()) + " is not known"};
  }
  base::Error error{static_cast<base::ErrorCode>(in.getCode()), get_text(in.getMessage()), {}};
  for (const auto& detail : in.getDetail()) {
    error.detail.emplace_back(get_text(detail.getName()), get_text(detail.getValue()));
  }
  return error;
}

base::KeyRow get_row(wire::KeyValue::Reader in) {
  return {get_text(in.getKey()),
          get_data(in.getValue()),
          base::Revision{in.getCreateRevision()},
          base::Revision{in.getRevision()},
          in.getVersion(),
          base::LeaseId{in.getLease()}};
}

OpResult get_result(wire::OpResult::Reader in) {
  using Kind = OpResult::Kind;
  switch (in.which()) {
    case wire::OpResult::NONE: return {};
    case wire::OpResult::FOUND: return {Kind::kFound, get_row(in.getFound())};
    case wire::OpResult::STORED: return {Kind::kStored, get_row(in.getStored())};
    case wire::OpResult::DELETED: return {in.getDeleted() ? Kind::kDeleted : Kind::kNotDeleted, {}};
  }
  throw NotOfThisVersion{"a result of a transaction is of a kind that is not known"};
}

TxnDone get_txn_done(wire::Answer::TxnDone::Reader in) {
  TxnDone done{in.getSucceeded(), base::Revision{in.getRevision()}, {}};
  for (const auto& result : in.getResults()) done.results.push_back(get_result(result));
  return done;
}

Answer get_answer(wire::Answer::Reader in) {
  switch (in.which()) {
    case wire::Answer::NONE: break;
    case wire::Answer::CLIENT_REGISTERED:
      return ClientRegistered{base::ClientId{in.getClientRegistered()}};
    case wire::Answer::LEASE_OPENED: {
      const auto opened = in.getLeaseOpened();
      return LeaseOpened{base::LeaseId{opened.getLease()}, opened.getTtlMs(),
                         get_data(opened.getSecret()), opened.getDropOnDisconnect()};
    }
    case wire::Answer::GRANTED: {
      Granted granted;
      for (uint64_t token : in.getGranted()) granted.tokens.push_back(base::Token{token});
      return granted;
    }
    case wire::Answer::DONE: return Done{base::Revision{in.getDone()}};
    case wire::Answer::WAIT_CANCELLED: return WaitCancelled{};
    case wire::Answer::ERROR: return get_error(in.getError());
    case wire::Answer::TXN_DONE: return get_txn_done(in.getTxnDone());
  }
  throw NotOfThisVersion{"answer kind " + std::to_string(static_cast<uint16_t>(in.which())) +
                         " is not known to this version"};
}

}  // namespace

std::string encode_answer(const Answer& answer) {
  capnp::MallocMessageBuilder message(scratch());
  auto out = message.initRoot<wire::Answer>();
  std::visit([&](const auto& body) { put_answer(out, body); }, answer);
  return to_bytes(message);
}

std::optional<Answer> decode_answer(std::string_view bytes) {
  Answer answer;
  const auto wrong = read_message(
      bytes, [&](auto& message) { answer = get_answer(message.template getRoot<wire::Answer>()); });
  if (wrong) return std::nullopt;
  return answer;
}

}  // namespace holdfast::locks
