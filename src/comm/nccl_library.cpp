#include "comm/nccl_library.hpp"

#include <dlfcn.h>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/libraries.hpp"

namespace annulus::comm {
namespace {

/// The functions, or why they are not there.
struct Library {
  NcclFunctions functions{};
  std::string problem{};
};

/// Those that the process has come first: whatever else of it uses NCCL uses these.
Library load() {
  constexpr auto* name = "libnccl.so.2";
  Library loaded;
  void* library = RTLD_DEFAULT;
  if (dlsym(library, "ncclGetVersion") == nullptr) {
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* reason = dlerror();
      loaded.problem =
          fmt::format("{} cannot be loaded: {}", name, reason == nullptr ? "" : reason);
      return loaded;
    }
  }
  const auto find = [&]<class Function>(const char* function_name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, function_name));
    if (function == nullptr) loaded.problem = fmt::format("{} has no {}", name, function_name);
  };
  auto& functions = loaded.functions;
  find("ncclGetVersion", functions.get_version);
  find("ncclGetLastError", functions.get_last_error);
  find("ncclGetErrorString", functions.get_error_string);
  find("ncclGetUniqueId", functions.get_unique_id);
  find("ncclCommInitRankConfig", functions.init_rank);
  find("ncclCommSplit", functions.split);
  find("ncclCommGetAsyncError", functions.get_async_error);
  find("ncclCommFinalize", functions.finalize);
  find("ncclCommDestroy", functions.destroy);
  find("ncclCommAbort", functions.abort);
  find("ncclGroupStart", functions.group_start);
  find("ncclGroupEnd", functions.group_end);
  find("ncclSend", functions.send);
  find("ncclRecv", functions.receive);
  find("ncclAllGather", functions.all_gather);
  find("ncclBroadcast", functions.broadcast);
  return loaded;
}

const Library& library() {
  static const Library once = load();
  return once;
}

}  // namespace

const NcclFunctions& nccl_functions() {
  const auto& [functions, problem] = library();
  if (!problem.empty()) throw InputError("nccl: " + problem);
  return functions;
}

std::string nccl_problem() {
  return library().problem;
}

std::string nccl_version() {
  int code = 0;
  if (!nccl_problem().empty() || nccl_functions().get_version(&code) != ncclSuccess) return {};
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

}  // namespace annulus::comm
