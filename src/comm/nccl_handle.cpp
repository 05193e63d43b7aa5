#include "comm/nccl_handle.hpp"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/nccl_call.hpp"
#include "comm/nccl_library.hpp"

namespace annulus::comm {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds that a rank with an exception waits for the others.
constexpr double patience_of_failure = 2;

/// The answer comes from threads of NCCL and from the device.
void pause() {
  std::this_thread::yield();
}

ncclConfig_t not_blocking() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

ncclUniqueId unique(const NcclId& id) {
  static_assert(sizeof(ncclUniqueId) == sizeof(NcclId::bytes));
  ncclUniqueId unique;
  std::memcpy(&unique, id.bytes.data(), sizeof unique);
  return unique;
}

cudaStream_t handle_of(device::Stream& stream) {
  return static_cast<cudaStream_t>(stream.handle());
}

}  // namespace

NcclHandle::NcclHandle(int ranks, int rank, std::shared_ptr<device::Stream> stream,
                       const NcclOptions& options)
    : ranks_(ranks),
      rank_(rank),
      stream_(std::move(stream)),
      transfers_(stream_, &stream_->transfers()),
      options_(options) {}

NcclHandle::NcclHandle(const NcclId& id, int ranks, int rank,
                       std::shared_ptr<device::Stream> stream, const NcclOptions& options)
    : NcclHandle(ranks, rank, std::move(stream), options) {
  static_cast<void>(stream_->handle());  // NCCL takes the GPU of the calling thread
  auto config = not_blocking();
  expect(nccl_functions().init_rank(&communicator_, ranks, unique(id), rank, &config),
         "ncclCommInitRankConfig");
  settle();
}

NcclHandle::~NcclHandle() {
  if (communicator_ == nullptr) return;
  // Where all ranks fail alike, none must take from the others what they still receive of the last
  // messages; one that fails alone waits in vain.
  if (std::uncaught_exceptions() > exceptions_) {
    options_.timeout = std::min(options_.timeout, patience_of_failure);
  }
  try {
    finalize();
  } catch (const Error&) {
    // Whoever waited has learned of it; the device itself may have failed.
    give_up();
  }
}

void NcclHandle::finalize() {
  drain();
  expect(nccl_functions().finalize(communicator_), "ncclCommFinalize");
  settle();
  check_nccl(nccl_functions().destroy(std::exchange(communicator_, nullptr)), "ncclCommDestroy",
             rank_);
}

std::shared_ptr<NcclHandle> NcclHandle::split(int ranks) {
  drain();  // NCCL splits no communicator that is at work
  std::shared_ptr<NcclHandle> part(new NcclHandle(ranks, rank_, stream_, options_));
  const bool member = rank_ < ranks;
  static_cast<void>(stream_->handle());
  auto config = not_blocking();
  // The new one is there once this one is at rest.
  try {
    expect(nccl_functions().split(communicator_, member ? 0 : NCCL_SPLIT_NOCOLOR, rank_,
                                  &part->communicator_, &config),
           "ncclCommSplit");
    settle();
  } catch (const Error&) {
    part->give_up();
    throw;
  }
  if (!member) return nullptr;
  part->expect(ncclInProgress, "ncclCommSplit");
  part->settle();
  return part;
}

void NcclHandle::advance() {
  if (!failure_.empty()) throw CommunicationError(failure_);
  ncclResult_t state = ncclSuccess;
  const auto code = nccl_functions().get_async_error(communicator_, &state);
  if (code != ncclSuccess) fail(nccl_message(code, "ncclCommGetAsyncError", rank_, communicator_));
  if (state == ncclInProgress) {
    if (call_ == nullptr) expect(ncclInProgress, "nccl");
    if (overdue(called_)) fail_by_timeout(call_);
    return;
  }
  if (state != ncclSuccess) {
    const char* const what = operations_.empty() ? "nccl" : operations_.front()->what;
    fail(nccl_message(state, call_ != nullptr ? call_ : what, rank_, communicator_));
  }
  call_ = nullptr;
  if (!operations_.empty() && operations_.back()->done == nullptr) {
    operations_.back()->done = transfers_->record();
  }
  while (!operations_.empty() && operations_.front()->done->reached()) operations_.pop_front();
  if (operations_.empty()) return;
  auto& first = *operations_.front();
  if (!first.since && first.turn->reached()) first.since = Clock::now();
  if (first.since && overdue(*first.since)) fail_by_timeout(first.what);
}

void NcclHandle::settle() {
  for (advance(); call_ != nullptr; advance()) pause();
}

void NcclHandle::drain() {
  settle();
  for (advance(); !operations_.empty(); advance()) pause();
}

std::shared_ptr<NcclOperation> NcclHandle::start(const char* what,
                                                 const std::function<void()>& work) {
  ensure(call_ == nullptr, "NCCL is asked for something while it is at work");
  operations_.push_back(
      std::make_shared<NcclOperation>(NcclOperation{what, transfers_->record(), nullptr}));
  auto operation = operations_.back();
  work();
  advance();
  return operation;
}

void NcclHandle::run(const char* what, const std::function<void()>& work) {
  static_cast<void>(start(what, work));
  drain();
}

bool NcclHandle::enqueued(const NcclOperation& operation) {
  advance();
  return operation.done != nullptr;
}

bool NcclHandle::done(const NcclOperation& operation) {
  return enqueued(operation) && operation.done->reached();
}

void NcclHandle::pass(std::span<const Send> sends, std::span<const Receive> receives) {
  const auto stream = handle_of(*transfers_);
  // A group is ended whatever happens within.
  ncclResult_t code = ncclSuccess;
  const char* call = nullptr;
  const auto note = [&](ncclResult_t returned, const char* name) {
    if (returned == ncclSuccess || returned == ncclInProgress || call != nullptr) return;
    code = returned;
    call = name;
  };
  expect(nccl_functions().group_start(), "ncclGroupStart");
  for (const auto& [to, data] : sends) {
    if (data.empty()) continue;
    note(nccl_functions().send(data.data(), data.size(), ncclUint8, to, communicator_, stream),
         "ncclSend");
  }
  for (const auto& [from, data] : receives) {
    if (data.empty()) continue;
    note(nccl_functions().receive(data.data(), data.size(), ncclUint8, from, communicator_, stream),
         "ncclRecv");
  }
  const auto end = nccl_functions().group_end();
  if (call != nullptr) expect(code, call);
  expect(end, "ncclGroupEnd");
}

void NcclHandle::gather(std::span<const std::byte> mine, std::byte* all) {
  expect(nccl_functions().all_gather(mine.data(), all, mine.size(), ncclUint8, communicator_,
                                     handle_of(*transfers_)),
         "ncclAllGather");
}

void NcclHandle::broadcast(std::span<std::byte> data, int root) {
  expect(nccl_functions().broadcast(data.data(), data.data(), data.size(), ncclUint8, root,
                                    communicator_, handle_of(*transfers_)),
         "ncclBroadcast");
}

void NcclHandle::abort(std::string reason) noexcept {
  if (failure_.empty()) failure_ = std::move(reason);
  call_ = nullptr;
  operations_.clear();
  // Nothing more can be done about its code, nor about what happens on the device.
  if (communicator_ != nullptr)
    static_cast<void>(nccl_functions().abort(std::exchange(communicator_, {})));
}

void NcclHandle::give_up() noexcept {
  abort("nccl: the rank has given up");
}

void NcclHandle::expect(ncclResult_t code, const char* call) {
  if (code == ncclSuccess) return;
  if (code != ncclInProgress) fail(nccl_message(code, call, rank_, communicator_));
  call_ = call;
  called_ = Clock::now();
}

void NcclHandle::fail(std::string reason) {
  abort(std::move(reason));
  throw CommunicationError(failure_);
}

void NcclHandle::fail_by_timeout(const char* what) {
  fail(fmt::format("{} is not done on rank {} after {} s: another rank does not answer", what,
                   rank_, options_.timeout));
}

bool NcclHandle::overdue(NcclOperation::Time since) const {
  return std::chrono::duration<double>(Clock::now() - since).count() > options_.timeout;
}

}  // namespace annulus::comm
