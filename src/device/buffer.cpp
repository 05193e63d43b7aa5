#include "annulus/device/buffer.hpp"

namespace annulus::device {

Buffer::Buffer(std::shared_ptr<Stream> stream, std::size_t bytes)
    : stream_(std::move(stream)),
      data_(bytes == 0 ? nullptr : stream_->allocate(bytes)),
      size_(bytes) {}

Buffer::Buffer(const Buffer& other) : Buffer(other.stream_, other.size_) {
  if (!empty()) stream_->copy(RowCopy::of_bytes(data_, other.data_, size_));
}

Buffer::~Buffer() {
  if (data_ != nullptr) stream_->free(data_);
}

}  // namespace annulus::device
