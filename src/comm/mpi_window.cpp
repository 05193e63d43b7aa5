#include "comm/mpi_window.hpp"

#include <cstdint>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/mpi_call.hpp"

namespace annulus::comm {
namespace {

/// Settings of a window, for the length of a scope.
class WindowInfo {
 public:
  explicit WindowInfo(int rank) {
    check_mpi(MPI_Info_create(&handle_), "MPI_Info_create", rank);
    // Each process's memory near it, rather than one stretch for all.
    check_mpi(MPI_Info_set(handle_, "alloc_shared_noncontig", "true"), "MPI_Info_set", rank);
  }
  WindowInfo(const WindowInfo&) = delete;
  WindowInfo& operator=(const WindowInfo&) = delete;
  ~WindowInfo() { static_cast<void>(MPI_Info_free(&handle_)); }

  [[nodiscard]] MPI_Info get() const { return handle_; }

 private:
  MPI_Info handle_ = MPI_INFO_NULL;
};

constexpr Index line = 128;

/// A window from its start to its end, during which all processes may access all of it.
class Window {
 public:
  Window(MPI_Comm node, int rank, Index bytes) : rank_(rank) {
    const WindowInfo info(rank);
    void* base = nullptr;
    const int code = MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes), 1, info.get(), node,
                                             static_cast<void*>(&base), &handle_);
    if (code != MPI_SUCCESS) {
      throw CommunicationError(fmt::format(
          "rank {} gets no {} bytes of memory that its node shares (see `df /dev/shm`); schedule "
          "ring needs none",
          rank, bytes));
    }
    check_mpi(MPI_Win_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Win_set_errhandler", rank);
    check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, handle_), "MPI_Win_lock_all", rank);
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window() {
    // Freeing is collective: a rank that is throwing would wait for those that wait for it.
    if (std::uncaught_exceptions() > exceptions_) return;
    int finalized = 0;
    if (MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
    static_cast<void>(MPI_Win_unlock_all(handle_));
    static_cast<void>(MPI_Win_free(&handle_));
  }

  /// Where the memory of the process `process` of the node begins.
  [[nodiscard]] std::byte* begin_of(int process) const {
    MPI_Aint bytes = 0;
    int unit = 0;
    void* base = nullptr;
    check_mpi(MPI_Win_shared_query(handle_, process, &bytes, &unit, static_cast<void*>(&base)),
              "MPI_Win_shared_query", rank_);
    // MPI aligns to less than a cache line. Mappings begin on pages, so that every process skips as
    // much.
    return reinterpret_cast<std::byte*>(ceil_div(reinterpret_cast<std::intptr_t>(base), line) *
                                        line);
  }

 private:
  int rank_;
  MPI_Win handle_ = MPI_WIN_NULL;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

std::unique_ptr<SharedMemory> make_mpi_window(MPI_Comm node, const std::vector<int>& ranks,
                                              int rank, Index bytes) {
  auto window = std::make_shared<Window>(node, rank, SharedMemory::region_bytes(bytes) + line);
  std::vector<SharedMemory::Region> regions;
  for (std::size_t process = 0; process < ranks.size(); ++process) {
    regions.push_back({ranks[process], window->begin_of(static_cast<int>(process))});
  }
  auto memory = std::make_unique<SharedMemory>(rank, bytes, std::move(regions), std::move(window),
                                               std::function<void()>{});
  // Nobody looks at a tick before it is set.
  check_mpi(MPI_Barrier(node), "MPI_Barrier", rank);
  return memory;
}

}  // namespace annulus::comm
