#pragma once
// What the cases share that read and write attention files on every transport.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "annulus/attention/documents.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/sharding.hpp"
#include "results/broadcast.hpp"
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

/// How rows are divided, and whether that shows as an axis.
struct RowsCase {
  const char* name;
  Documents documents;
  bool has_batch_axis;

  [[nodiscard]] Dims dims(std::span<const Index> offsets, const Dims& trailing) const {
    Dims dims;
    if (has_batch_axis) dims.push_back(static_cast<hsize_t>(documents.count()));
    dims.push_back(static_cast<hsize_t>(has_batch_axis ? offsets[1] : offsets.back()));
    dims.insert(dims.end(), trailing.begin(), trailing.end());
    return dims;
  }
};

inline std::vector<RowsCase> rows_cases() {
  return {{"single", Documents::single(97), false},
          {"cross", Documents::single(31, 53), false},
          {"packed", Documents::packed({0, 13, 13, 14, 43, 61}, {0, 7, 9, 9, 38, 59}), false},
          {"batch", Documents::batch(3, 17, 13), true},
          {"fewer rows than ranks", Documents::single(2), false},
          {"no queries", Documents::single(0, 3), false}};
}

}  // namespace annulus::results
