// Cell: what is there: locks, leases, nodes. Linearizable reads and the survey of the members.
#include <holdfast/holdfast.h>

#include <chrono>
#include <thread>

#include "bindings/cpp/src/cell_state.h"
#include "bindings/cpp/src/reading.h"
#include "lockcore/base/limits.h"

namespace holdfast {

namespace {

using base::Instant;
using client::Core;
using client::Effects;
using client::Ref;
using client::StatusRequest;
using detail::CellState;
using detail::reading;
using detail::report_value;

// -- lists, page by page --------------------------------------------------------------------------

std::vector<LockInfo>& rows_of(client::LocksPage& page) {
  return page.locks;
}
std::vector<LeaseInfo>& rows_of(client::LeasesPage& page) {
  return page.leases;
}
void go_on_after(const LockInfo& last, client::LocksRequest& request) {
  request.after = last.name;
}
void go_on_after(const LeaseInfo& last, client::LeasesRequest& request) {
  request.after = detail::lease_named(last.lease);
}

template <class Page, class Row, class Request>
void read_pages(const std::shared_ptr<CellState>& cell, Request request, std::vector<Row> before,
                Callback<std::vector<Row>> done) {
  auto on_page = [cell, request, rows = std::move(before), done](std::optional<Page> page,
                                                                 const Error* error) mutable {
    if (error != nullptr) return done(std::nullopt, error);
    bool more = page->more && !rows_of(*page).empty();
    for (Row& row : rows_of(*page)) rows.push_back(std::move(row));
    if (!more) return done(std::move(rows), nullptr);
    go_on_after(rows.back(), request);
    read_pages<Page>(cell, std::move(request), std::move(rows), std::move(done));
  };
  cell->start(reading(request), report_value<Page>(std::move(on_page)));
}

}  // namespace

void Cell::describe_async(std::string_view name, Callback<LockInfo> done) {
  state_->start(reading(client::DescribeRequest{std::string(name)}), report_value(std::move(done)));
}

LockInfo Cell::describe(std::string_view name) {
  return detail::wait_for_value<LockInfo>(
      *state_, [&](Callback<LockInfo> done) { describe_async(name, std::move(done)); });
}

void Cell::verify_async(std::string_view name, uint64_t token, Callback<bool> done) {
  client::VerifyRequest request{std::string(name), {token}};
  state_->start(
      reading(std::move(request)),
      report_value<client::Verified>(
          [done = std::move(done)](std::optional<client::Verified> verified, const Error* error) {
            if (error != nullptr) return done(std::nullopt, error);
            done(verified->valid, nullptr);
          }));
}

bool Cell::verify(std::string_view name, uint64_t token) {
  return detail::wait_for_value<bool>(
      *state_, [&](Callback<bool> done) { verify_async(name, token, std::move(done)); });
}

void Cell::locks_async(std::string_view prefix, Callback<std::vector<LockInfo>> done) {
  client::LocksRequest request{std::string(prefix), {}, base::kMaxListedRows};
  read_pages<client::LocksPage>(state_, std::move(request), std::vector<LockInfo>{},
                                std::move(done));
}

std::vector<LockInfo> Cell::locks(std::string_view prefix) {
  using Rows = std::vector<LockInfo>;
  return detail::wait_for_value<Rows>(
      *state_, [&](Callback<Rows> done) { locks_async(prefix, std::move(done)); });
}

LeaseInfo Cell::lease(std::string_view id) {
  client::LeaseRequest request{detail::lease_named(id)};
  return detail::wait_for_value<LeaseInfo>(*state_, [&](Callback<LeaseInfo> done) {
    state_->start(reading(request), report_value(std::move(done)));
  });
}

void Cell::leases_async(Callback<std::vector<LeaseInfo>> done) {
  client::LeasesRequest request{{}, base::kMaxListedRows};
  read_pages<client::LeasesPage>(state_, std::move(request), std::vector<LeaseInfo>{},
                                 std::move(done));
}

std::vector<LeaseInfo> Cell::leases() {
  using Rows = std::vector<LeaseInfo>;
  return detail::wait_for_value<Rows>(*state_,
                                      [&](Callback<Rows> done) { leases_async(std::move(done)); });
}

void Cell::read_snapshot(const std::function<void(const SnapshotPiece&)>& take) {
  // While somebody reads its record, a node may not be able to begin one: it is asked again.
  constexpr int kAttempts = 50;
  constexpr auto kPause = std::chrono::milliseconds(100);
  client::SnapshotRequest request;
  int attempts = 0;
  for (bool is_whole = false; !is_whole;) {
    try {
      const auto part = detail::wait_for_value<base::SnapshotPart>(
          *state_, [&](Callback<base::SnapshotPart> done) {
            state_->start(reading(request), report_value(std::move(done)));
          });
      take({part.slot.value, part.offset, part.total_bytes, *part.bytes});
      request = {part.id, part.end(), part.slot};
      is_whole = part.is_last();
    } catch (const Error& error) {
      // Else another node leads by now, or it took too long: what came so far is of no use.
      if (error.code() != Code::compacted || ++attempts == kAttempts) throw;
      if (request.id == 0) std::this_thread::sleep_for(kPause);
      request = {0, 0, request.at_least};
    }
  }
}

void Cell::status_async(Callback<CellStatus> done) {
  state_->start([](Core& core, Ref ref, Instant now, Effects& fx) { core.status(ref, now, fx); },
                report_value(std::move(done)));
}

CellStatus Cell::status_and_verify() {
  return detail::wait_for_value<CellStatus>(*state_, [&](Callback<CellStatus> done) {
    state_->start([](Core& core, Ref ref, Instant now,
                     Effects& fx) { core.status(ref, now, fx, StatusRequest{.verify = true}); },
                  report_value(std::move(done)));
  });
}

uint64_t Cell::compare_nodes() {
  const auto barrier =
      detail::wait_for_value<client::Barrier>(*state_, [&](Callback<client::Barrier> done) {
        state_->start(reading(client::BarrierRequest{}), report_value(std::move(done)));
      });
  return barrier.slot.value;
}

CellStatus Cell::status() {
  return detail::wait_for_value<CellStatus>(
      *state_, [&](Callback<CellStatus> done) { status_async(std::move(done)); });
}

}  // namespace holdfast
