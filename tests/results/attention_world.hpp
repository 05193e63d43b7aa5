#pragma once
// What the cases share that read and write attention files on every transport.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "annulus/attention/documents.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/sharding.hpp"
#include "annulus/results/array_layout.hpp"
#include "comm/broadcast.hpp"
#include "results/plain_file.hpp"
#include "results/scratch.hpp"
#include "support/world.hpp"

namespace annulus::results {

class AttentionFiles : public testing::TestWithParam<comm::World> {
 protected:
  static void on_ranks(const comm::World::Body& body) { GetParam().run(body); }
};

inline std::string name_of_world(const testing::TestParamInfo<comm::World>& info) {
  return info.param.name;
}

/// A folder that all ranks know; it goes when rank 0's goes.
class SharedScratch {
 public:
  explicit SharedScratch(comm::Communicator& communicator) : communicator_(communicator) {
    if (communicator.rank() == 0) folder_ = scratch_.emplace().folder().string();
    broadcast(communicator, folder_);
  }
  SharedScratch(const SharedScratch&) = delete;
  SharedScratch& operator=(const SharedScratch&) = delete;
  ~SharedScratch() {
    if (std::uncaught_exceptions() == 0) communicator_.barrier();
  }
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return folder_ + "/" + name;
  }
  [[nodiscard]] const Scratch& of_root() const { return *scratch_; }

 private:
  comm::Communicator& communicator_;
  std::optional<Scratch> scratch_;
  std::string folder_;
};

/// How rows are divided, and how arrays with them lie.
struct RowsCase {
  const char* name;
  Documents documents;
  ArrayLayout layout;

  /// `trailing` is heads, or heads and dim.
  [[nodiscard]] Dims dims(std::span<const Index> offsets, const Dims& trailing) const {
    Dims dims = trailing;
    const bool batch = has_batch_axis(layout);
    const auto rows = static_cast<hsize_t>(batch ? offsets[1] : offsets.back());
    dims.insert(layout == ArrayLayout::bhnd ? dims.begin() + 1 : dims.begin(), rows);
    if (batch) dims.insert(dims.begin(), static_cast<hsize_t>(documents.count()));
    return dims;
  }

  /// Where element `column` of packed row `row` stands among all elements of the array.
  [[nodiscard]] Index place(std::span<const Index> offsets, Index row, Index column, Index heads,
                            Index dim) const {
    if (layout != ArrayLayout::bhnd) return row * heads * dim + column;
    const Index rows = offsets[1];
    const Index plane = row / rows * heads + column / dim;
    return (plane * rows + row % rows) * dim + column % dim;
  }
};

inline std::vector<RowsCase> rows_cases() {
  using enum ArrayLayout;
  return {{"single", Documents::single(97), nhd},
          {"cross", Documents::single(31, 53), nhd},
          {"packed", Documents::packed({0, 13, 13, 14, 43, 61}, {0, 7, 9, 9, 38, 59}), nhd},
          {"batch", Documents::batch(3, 17, 13), bnhd},
          {"heads before rows", Documents::batch(3, 17, 13), bhnd},
          {"fewer rows than ranks", Documents::single(2), nhd},
          {"no queries", Documents::single(0, 3), nhd}};
}

}  // namespace annulus::results
