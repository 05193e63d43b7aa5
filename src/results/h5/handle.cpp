#include "results/h5/handle.hpp"

#include <algorithm>
#include <string>

namespace annulus::results::h5 {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

herr_t take_first(unsigned /*position*/, const H5E_error2_t* entry, void* message) {
  auto& text = *static_cast<std::string*>(message);
  if (text.empty() && entry->desc != nullptr) text = entry->desc;
  return 0;
}

}  // namespace

Lock::Lock() : lock_(library_mutex()) {
  // At exit HDF5 would close what a failure left open, which for shared files waits for other
  // ranks.
  static const herr_t no_exit_handler = H5dont_atexit();
  static_cast<void>(no_exit_handler);
  check(H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr), "H5Eset_auto2", "HDF5");
}

std::string innermost_error() {
  std::string message;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &message);
  H5Eclear2(H5E_DEFAULT);
  // Where the operating system refused, what it said; the rest is addresses and times.
  constexpr std::string_view label = "error message = '";
  if (const auto at = message.find(label); at != std::string::npos) {
    message = message.substr(at + label.size());
    message.resize(std::min(message.size(), message.find('\'')));
  }
  return message.empty() ? "no message from HDF5" : message;
}

Handle::~Handle() {
  if (id_ < 0) return;
  // A destructor does not throw; whoever must know whether closing worked calls close().
  const Lock lock;
  close_(id_);
}

void Handle::close(std::string_view subject) {
  const Lock lock;
  const hid_t id = std::exchange(id_, H5I_INVALID_HID);
  if (id >= 0) check(close_(id), "closing", subject);
}

}  // namespace annulus::results::h5
