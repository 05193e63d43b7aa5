#include "support/model_nccl.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "support/model_device.hpp"
#include "support/model_nccl_messages.hpp"

using annulus::test::ModelStream;
using annulus::test::NcclCall;
using annulus::test::NcclCallPointer;
using annulus::test::NcclConditions;
using annulus::test::NcclMessages;
using Kind = NcclCall::Kind;

namespace {

/// Calls of one rank that go together, once they are on a stream.
struct Group {
  std::vector<NcclCallPointer> calls;
  ModelStream* stream;
  bool dropped = false;
};

struct Split {
  std::map<int, std::pair<int, int>> wishes;  // colour and key, by rank
  std::map<int, std::shared_ptr<struct Clique>> parts;
};

/// The ranks of a communicator.
struct Clique {
  explicit Clique(int size)
      : ranks(size), members(static_cast<std::size_t>(size)), messages(size) {}

  int ranks;
  std::vector<ncclComm_t> members;
  int arrived = 0;
  std::set<int> left;  // have finalized or aborted
  NcclMessages messages;
  std::map<int, Split> splits;
};

}  // namespace

struct ncclComm {
  std::shared_ptr<Clique> clique;
  int rank;
  ncclResult_t error = ncclSuccess;
  /// What it is at: for so many looks, and until this holds; then this happens.
  bool in_progress = false;
  int looks = 0;
  std::function<bool()> holds{};
  std::function<void()> then{};
  int collectives = 0;
  int splits = 0;
  std::vector<std::shared_ptr<Group>> groups{};  // that may be on a stream
  bool finalized = false;
};

namespace {

/// One for the process, as the library has.
struct World {
  std::mutex mutex;
  NcclConditions conditions;
  std::map<std::string, std::shared_ptr<Clique>> by_id;
  std::map<ncclComm_t, std::unique_ptr<ncclComm>> alive;
  std::vector<std::string> misuses;
  int aborted = 0;
  int made = 0;
  int ids = 0;
};

World& world() {
  static World world;
  return world;
}

/// A call of this thread between ncclGroupStart and ncclGroupEnd.
struct Pending {
  ncclComm_t communicator;
  ModelStream* stream;
  NcclCallPointer call;
};
thread_local int depth = 0;
thread_local std::vector<Pending> pending;

// With the lock of the world held:

ncclResult_t misused(std::string what) {
  world().misuses.push_back(std::move(what));
  return ncclInvalidUsage;
}

bool is_alive(ncclComm_t communicator) {
  return world().alive.contains(communicator);
}

ncclResult_t check_free(ncclComm_t communicator, const char* call) {
  if (!is_alive(communicator))
    return misused(fmt::format("{} of a communicator that is gone", call));
  if (communicator->error != ncclSuccess) return communicator->error;
  if (communicator->in_progress) {
    return misused(fmt::format("{} while the communicator of rank {} is in progress", call,
                               communicator->rank));
  }
  if (communicator->finalized) return misused(fmt::format("{} after ncclCommFinalize", call));
  return ncclSuccess;
}

ncclResult_t begin(ncclComm_t communicator, std::function<bool()> holds,
                   std::function<void()> then) {
  communicator->in_progress = true;
  communicator->looks = world().conditions.looks_in_progress;
  communicator->holds = std::move(holds);
  communicator->then = std::move(then);
  return ncclInProgress;
}

ncclComm_t make(std::shared_ptr<Clique> clique, int rank) {
  auto made = std::make_unique<ncclComm>(ncclComm{std::move(clique), rank});
  const ncclComm_t communicator = made.get();
  communicator->clique->members[static_cast<std::size_t>(rank)] = communicator;
  ++communicator->clique->arrived;
  ++world().made;
  world().alive.emplace(communicator, std::move(made));
  return communicator;
}

void set_error(Clique& clique, ncclResult_t code) {
  for (const auto member : clique.members) {
    if (member != nullptr && member->error == ncclSuccess) member->error = code;
  }
}

/// Takes the communicator out of its clique.
void remove(ncclComm_t communicator) {
  auto& clique = *communicator->clique;
  clique.members[static_cast<std::size_t>(communicator->rank)] = nullptr;
  clique.left.insert(communicator->rank);
  for (const auto& group : communicator->groups) {
    group->dropped = true;
    for (const auto& call : group->calls) clique.messages.drop(call);
  }
  world().alive.erase(communicator);
}

/// Whether the GPU of the stream has the memory of a call among `ranks`.
bool has_memory(const ModelStream& stream, const NcclCall& call, int ranks) {
  const auto has = [&](const std::byte* data, std::size_t bytes) {
    return data == nullptr || (stream.reaches(data) && stream.reaches(data + bytes - 1));
  };
  const auto parts = static_cast<std::size_t>(call.kind == Kind::gather ? ranks : 1);
  return has(call.from, call.bytes) && has(call.to, parts * call.bytes);
}

/// Puts the calls on the stream, where they are tried together until all are done.
void enqueue(ncclComm_t communicator, ModelStream* stream, std::vector<NcclCallPointer> calls) {
  const auto group = std::make_shared<Group>(Group{std::move(calls), stream});
  const auto clique = communicator->clique;
  const int rank = communicator->rank;
  {
    const std::lock_guard held(world().mutex);
    communicator->groups.push_back(group);
    for (const auto& call : group->calls) {
      if (call->is_collective()) call->number = communicator->collectives++;
    }
  }
  stream->enqueue_until([=] {
    // The lock of the device is held here, and taken before that of the world.
    const bool there = std::ranges::all_of(group->calls, [&](const auto& call) {
      return call->posted || has_memory(*stream, *call, clique->ranks);
    });
    const std::lock_guard held(world().mutex);
    if (group->dropped) return true;
    const auto member = clique->members[static_cast<std::size_t>(rank)];
    if (member->error != ncclSuccess) return false;
    bool all_done = true;
    for (const auto& call : group->calls) {
      const auto problem =
          there ? clique->messages.advance(rank, call)
                : fmt::format("rank {} names memory that its GPU does not have", rank);
      if (!problem.empty()) {
        misused(problem);
        set_error(*clique, ncclInvalidUsage);
      }
      all_done = all_done && call->done;
    }
    if (all_done) std::erase(member->groups, group);
    return all_done;
  });
}

ncclResult_t start_calls() {
  const auto calls = std::exchange(pending, {});
  if (calls.empty()) return ncclSuccess;
  const std::lock_guard held(world().mutex);
  const auto communicator = calls.front().communicator;
  auto* const stream = calls.front().stream;
  if (const auto code = check_free(communicator, "ncclGroupEnd"); code != ncclSuccess) return code;
  std::vector<NcclCallPointer> group;
  const auto clique = communicator->clique;
  const int rank = communicator->rank;
  for (const auto& call : calls) {
    if (call.communicator != communicator || call.stream != stream) {
      return misused("the model knows only groups of one communicator on one stream");
    }
    group.push_back(call.call);
    clique->messages.connect(rank, *call.call);
  }
  const auto holds = [clique, rank, group] {
    return std::ranges::all_of(
        group, [&](const auto& call) { return clique->messages.connected(rank, *call); });
  };
  return begin(communicator, holds,
               [communicator, stream, group] { enqueue(communicator, stream, group); });
}

ncclResult_t call(Kind kind, const void* from, void* to, std::size_t count, ncclDataType_t type,
                  int peer, ncclComm_t communicator, cudaStream_t stream, const char* name) {
  {
    const std::lock_guard held(world().mutex);
    if (const auto code = check_free(communicator, name); code != ncclSuccess) return code;
    if (type != ncclUint8 && type != ncclInt8) return misused("the model knows only bytes");
    if (peer < 0 || peer >= communicator->clique->ranks) return ncclInvalidArgument;
    if (count == 0) return misused("the model knows no empty messages");
  }
  pending.push_back(
      {communicator, reinterpret_cast<ModelStream*>(stream),
       std::make_shared<NcclCall>(NcclCall{kind, static_cast<const std::byte*>(from),
                                           static_cast<std::byte*>(to), count, peer})});
  return depth > 0 ? ncclSuccess : start_calls();
}

bool is_not_blocking(const ncclConfig_t* config) {
  return config != nullptr && config->magic == 0xcafebeef && config->blocking == 0;
}

/// Makes the parts that all ranks have wished for.
void split(Split& round) {
  if (!round.parts.empty()) return;
  std::map<int, std::vector<std::pair<int, int>>> members;  // key and rank, by colour
  for (const auto& [rank, wish] : round.wishes) {
    if (wish.first != NCCL_SPLIT_NOCOLOR) members[wish.first].emplace_back(wish.second, rank);
  }
  for (const auto& [colour, ranks] : members) {
    round.parts[colour] = std::make_shared<Clique>(static_cast<int>(ranks.size()));
  }
}

}  // namespace

namespace annulus::test {

void ModelNccl::start(const NcclConditions& conditions) {
  const std::lock_guard held(world().mutex);
  world().conditions = conditions;
  world().by_id.clear();
  world().alive.clear();
  world().misuses.clear();
  world().aborted = 0;
  world().made = 0;
}

void ModelNccl::fail(int rank, ncclResult_t code) {
  const std::lock_guard held(world().mutex);
  for (const auto& [communicator, owned] : world().alive) {
    if (communicator->rank == rank) communicator->error = code;
  }
}

std::string ModelNccl::misuse() {
  const std::lock_guard held(world().mutex);
  return world().misuses.empty() ? "" : world().misuses.front();
}

int ModelNccl::alive() {
  const std::lock_guard held(world().mutex);
  return static_cast<int>(world().alive.size());
}

int ModelNccl::aborted() {
  const std::lock_guard held(world().mutex);
  return world().aborted;
}

std::string ModelNccl::library() {
  return fmt::format("NCCL {}.{}.{}", NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH);
}

int ModelNccl::made() {
  const std::lock_guard held(world().mutex);
  return world().made;
}

}  // namespace annulus::test

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard held(world().mutex);
  *id = {};
  const auto text = fmt::format("model {}", ++world().ids);
  std::ranges::copy(text, id->internal);
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t code) {
  constexpr std::array names{
      "no error",         "unhandled cuda error", "unhandled system error", "internal error",
      "invalid argument", "invalid usage",        "remote process exited",  "in progress"};
  return names.at(static_cast<std::size_t>(code));
}

const char* ncclGetLastError(ncclComm_t /*communicator*/) {
  return "as the model has it";
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  const std::lock_guard held(world().mutex);
  *communicator = nullptr;
  if (!is_not_blocking(config)) return misused("a communicator that blocks");
  auto& clique = world().by_id[std::string(id.internal)];
  if (clique == nullptr) clique = std::make_shared<Clique>(ranks);
  if (ranks != clique->ranks || rank < 0 || rank >= ranks ||
      clique->members[static_cast<std::size_t>(rank)] != nullptr) {
    return ncclInvalidArgument;
  }
  *communicator = make(clique, rank);
  const auto holds = [clique = clique] { return clique->arrived == clique->ranks; };
  return begin(*communicator, holds, [] {});
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* state) {
  std::function<void()> then;
  std::set<ModelStream*> busy;
  {
    const std::lock_guard held(world().mutex);
    *state = ncclSuccess;
    if (!is_alive(communicator)) return misused("a look at a communicator that is gone");
    *state = communicator->error;
    if (communicator->error != ncclSuccess || !communicator->in_progress) return ncclSuccess;
    *state = ncclInProgress;
    if (communicator->looks > 0) {
      --communicator->looks;
    } else if (communicator->holds()) {
      communicator->in_progress = false;
      then = std::exchange(communicator->then, {});
      *state = ncclSuccess;
    } else {
      for (const auto& group : communicator->groups) busy.insert(group->stream);
    }
  }
  // Devices work on their own, also while their host waits until another rank asks for something.
  for (auto* const stream : busy) static_cast<void>(stream->idle());
  if (then) then();
  return ncclSuccess;
}

ncclResult_t ncclCommSplit(ncclComm_t parent, int colour, int key, ncclComm_t* made,
                           ncclConfig_t* config) {
  const std::lock_guard held(world().mutex);
  if (const auto code = check_free(parent, "ncclCommSplit"); code != ncclSuccess) return code;
  if (!is_not_blocking(config)) return misused("a communicator that blocks");
  if (!parent->groups.empty()) return misused("ncclCommSplit of a communicator that is at work");
  const auto clique = parent->clique;
  const int rank = parent->rank;
  auto& round = clique->splits[parent->splits++];
  round.wishes[rank] = {colour, key};
  const auto holds = [clique, &round] {
    return static_cast<int>(round.wishes.size()) == clique->ranks;
  };
  return begin(parent, holds, [&round, rank, colour, key, made] {
    if (colour == NCCL_SPLIT_NOCOLOR) return;
    const std::lock_guard locked(world().mutex);
    split(round);
    int place = 0;
    for (const auto& [other, wish] : round.wishes) {
      if (wish.first == colour && std::pair(wish.second, other) < std::pair(key, rank)) ++place;
    }
    const auto part = round.parts.at(colour);
    *made = make(part, place);
    begin(
        *made, [part] { return part->arrived == part->ranks; }, [] {});
  });
}

ncclResult_t ncclCommFinalize(ncclComm_t communicator) {
  const std::lock_guard held(world().mutex);
  const auto code = check_free(communicator, "ncclCommFinalize");
  if (code != ncclSuccess) return code;
  if (!communicator->groups.empty()) return misused("the model finalizes only what is at rest");
  communicator->finalized = true;
  const auto clique = communicator->clique;
  clique->left.insert(communicator->rank);
  const auto holds = [clique] { return static_cast<int>(clique->left.size()) == clique->ranks; };
  return begin(communicator, holds, [] {});
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  const std::lock_guard held(world().mutex);
  if (!is_alive(communicator)) return misused("a communicator is destroyed twice");
  if (!communicator->finalized || communicator->in_progress) {
    return misused("a communicator is destroyed that is not finalized");
  }
  remove(communicator);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  const std::lock_guard held(world().mutex);
  if (!is_alive(communicator)) return misused("a communicator is aborted that is gone");
  const auto clique = communicator->clique;
  remove(communicator);
  ++world().aborted;
  if (world().conditions.tells_of_aborts) set_error(*clique, ncclRemoteError);
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  return --depth > 0 ? ncclSuccess : start_calls();
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t communicator, cudaStream_t stream) {
  return call(Kind::send, data, nullptr, count, type, peer, communicator, stream, "ncclSend");
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t communicator, cudaStream_t stream) {
  return call(Kind::receive, nullptr, data, count, type, peer, communicator, stream, "ncclRecv");
}

ncclResult_t ncclAllGather(const void* mine, void* all, size_t count, ncclDataType_t type,
                           ncclComm_t communicator, cudaStream_t stream) {
  return call(Kind::gather, mine, all, count, type, 0, communicator, stream, "ncclAllGather");
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t communicator, cudaStream_t stream) {
  return call(Kind::broadcast, from, to, count, type, root, communicator, stream, "ncclBroadcast");
}
