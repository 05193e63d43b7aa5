#include "annulus/results/same_file.hpp"

#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>

#include "annulus/base/host_name.hpp"
#include "annulus/comm/agreement.hpp"
#include "comm/broadcast.hpp"
#include "results/posix_file.hpp"

namespace annulus::results {
namespace {

constexpr Index compared_bytes = Index{1} << 16;

}  // namespace

void check_same_file(comm::Communicator& communicator, const std::string& path) {
  // Opening is what makes a host of a network file system ask for the file's present state. A pipe
  // would be waited for.
  std::error_code missing;
  PosixFile file;
  if (std::filesystem::is_regular_file(path, missing)) file = PosixFile(path, O_RDONLY, path);
  const auto cause = missing ? missing.value() : errno;
  std::vector<Index> numbers;
  std::vector<std::byte> head;
  const auto look = [&] {
    if (file.is_open()) {
      numbers = {file.size(), file.modified()};
      head = file.read(0, compared_bytes);
    }
  };
  comm::on_root(communicator, look);
  auto roots_numbers = numbers;
  auto roots_head = head;
  auto roots_host = host_name();
  broadcast(communicator, roots_numbers);
  broadcast(communicator, roots_head);
  broadcast(communicator, roots_host);
  if (roots_numbers.empty()) return;
  comm::together(communicator, [&] {
    if (communicator.rank() != 0) look();
    if (numbers == roots_numbers && head == roots_head) return;
    throw InputError(fmt::format(
        "{}: on host {} rank {} {}; expected the file that rank 0 reads on host {}, in a folder "
        "that all hosts share",
        path, host_name(), communicator.rank(),
        file.is_open() ? "sees another file"
                       : fmt::format("cannot read it ({})", std::strerror(cause)),
        roots_host));
  });
}

}  // namespace annulus::results
