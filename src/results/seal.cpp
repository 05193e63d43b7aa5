#include "results/seal.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "annulus/base/index.hpp"
#include "results/h5/attribute.hpp"
#include "results/h5/own_file.hpp"

namespace annulus::results {
namespace {

constexpr const char* checksum_attribute = "texts_checksum";

using Bytes = std::span<const std::byte>;

constexpr auto bytes_of(auto... values) {
  return std::array{static_cast<std::byte>(values)...};
}

/// Of 64 bits, FNV-1a.
std::uint64_t add_to_checksum(std::uint64_t checksum, Bytes bytes) {
  for (const auto byte : bytes) {
    checksum = (checksum ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3U;
  }
  return checksum;
}

/// Of all global heaps: "GCOL", version 1, three zeros, and the size as 8 bytes, the lowest first.
Index checksum_of_texts(Bytes image) {
  constexpr auto signature = bytes_of('G', 'C', 'O', 'L', 1, 0, 0, 0);
  std::uint64_t checksum = 0xcbf29ce484222325U;
  for (auto at = image.begin();;) {
    at = std::search(at, image.end(), signature.begin(), signature.end());
    const auto rest = image.subspan(static_cast<std::size_t>(at - image.begin()));
    if (rest.size() < 16) return static_cast<Index>(checksum);
    std::uint64_t size = 0;
    for (std::size_t i = 8; i-- > 0;) size = size << 8U | static_cast<std::uint64_t>(rest[8 + i]);
    const auto heap = rest.first(std::clamp<std::size_t>(size, 16, rest.size()));
    checksum = add_to_checksum(checksum, heap);
    at += static_cast<std::ptrdiff_t>(heap.size());
  }
}

/// Metadata have checksums since version 2 of what a file begins with.
bool has_checksums(Bytes image) {
  constexpr auto signature = bytes_of(0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n');
  return image.size() > signature.size() &&
         std::ranges::equal(image.first(signature.size()), signature) &&
         image[signature.size()] >= std::byte{2};
}

}  // namespace

void seal(const std::string& path, const PosixFile& bytes, const std::string& subject) {
  // The number of the attribute is in no heap, so writing it leaves them as they are.
  const auto checksum = checksum_of_texts(bytes.read(0, bytes.size()));
  auto file = h5::open_own_file(path, subject);
  h5::write_attribute(file.get(), checksum_attribute, checksum);
  file.close(subject);
}

h5::Handle open_sealed(const std::string& path, const PosixFile& bytes,
                       const std::string& subject) {
  const auto image = bytes.read(0, bytes.size());
  if (!has_checksums(image)) throw Error("its metadata have no checksums");
  auto file =
      h5::own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "H5Fopen", subject);
  if (h5::read_number(file.get(), checksum_attribute) != checksum_of_texts(image)) {
    throw Error("the checksum of its texts is wrong");
  }
  return file;
}

}  // namespace annulus::results
