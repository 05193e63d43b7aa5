// What an input file may hold, and what is said of one that it may not.

#include "annulus/results/attention_input.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>

#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "results/plain_file.hpp"
#include "results/scratch.hpp"

namespace annulus::results {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// A sound file of n_q = 7, n_k = 11, H = 6, G = 3, d = 5, d_v = 2, changed by `change`.
struct Sample {
  Dims q{7, 6, 5};
  Dims k{11, 3, 5};
  Dims v{11, 3, 2};
  std::function<void(PlainFile&)> more = [](PlainFile&) {};

  void write(const std::string& path) const {
    PlainFile file(path);
    for (const auto& [name, dims] : {std::pair{"q", q}, std::pair{"k", k}, std::pair{"v", v}}) {
      if (!dims.empty()) file.put(name, dims, sample_values_of(dims));
    }
    more(file);
  }
};

InputShape shape_of(const Sample& sample) {
  const Scratch scratch;
  sample.write(scratch / "input.h5");
  auto communicator = comm::self();
  return AttentionInput(scratch / "input.h5", communicator).shape();
}

/// The complaint about the file, without the name of the file.
std::string complaint_of(const Sample& sample) {
  const Scratch scratch;
  const auto path = scratch / "input.h5";
  sample.write(path);
  auto communicator = comm::self();
  const auto message = input_error_of([&] { AttentionInput(path, communicator); });
  EXPECT_THAT(message, StartsWith(path + ": "));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message.substr(std::min(message.size(), path.size() + 2));
}

Sample with(const std::function<void(PlainFile&)>& more) {
  return {.more = more};
}

std::string complaint_with(const std::string& name, const Dims& dims,
                           const std::vector<double>& values, hid_t type = H5T_IEEE_F64LE) {
  return complaint_of(with([&](PlainFile& file) { file.put(name, dims, values, type); }));
}

TEST(AttentionInput, KnowsItsShape) {
  const auto shape = shape_of({});
  EXPECT_EQ(shape.query_heads, 6);
  EXPECT_EQ(shape.key_heads, 3);
  EXPECT_EQ(shape.head_dim, 5);
  EXPECT_EQ(shape.value_dim, 2);
  EXPECT_EQ(shape.documents, Documents::single(7, 11));
  EXPECT_EQ(shape.layout, ArrayLayout::nhd);
  EXPECT_TRUE(shape.layout_is_guessed);
  EXPECT_FALSE(shape.has_dout);
  EXPECT_FALSE(shape.has_logit_scale);
  EXPECT_TRUE(shape.gain.empty());
  EXPECT_TRUE(shape.sink.empty());
}

TEST(AttentionInput, KnowsItsExtras) {
  const std::vector<double> gain{1, 2, 3, 4, 5, 6};
  const std::vector<double> sink{1, -infinity, 3, 4, 5, -6};
  const auto shape = shape_of(with([&](PlainFile& file) {
    file.put("gain", {6}, gain).put("sink", {6}, sink, H5T_IEEE_F64BE);
    file.put("dout", {7, 6, 2}, sample_values_of({7, 6, 2}));
    file.put("logit_scale", {7, 6}, sample_values_of({7, 6}));
    file.put("cu_seqlens", {4}, {0, 3, 3, 7}, H5T_STD_I64LE);
    file.put("cu_seqlens_k", {4}, {0, 0, 2, 11}, H5T_STD_I32LE);
  }));
  EXPECT_EQ(shape.gain, gain);
  EXPECT_EQ(shape.sink, sink);
  EXPECT_TRUE(shape.has_dout);
  EXPECT_TRUE(shape.has_logit_scale);
  EXPECT_TRUE(shape.logit_scale_per_head);
  EXPECT_EQ(shape.documents, Documents::packed({0, 3, 3, 7}, {0, 0, 2, 11}));
}

TEST(AttentionInput, KnowsABatchAxis) {
  const auto shape =
      shape_of({.q = {4, 7, 6, 5}, .k = {4, 11, 3, 5}, .v = {4, 11, 3, 2}, .more = [](auto& file) {
                  file.put("logit_scale", {4, 7}, sample_values_of({4, 7}));
                }});
  EXPECT_EQ(shape.layout, ArrayLayout::bnhd);
  EXPECT_EQ(shape.documents, Documents::batch(4, 7, 11));
  EXPECT_TRUE(shape.has_logit_scale);
  EXPECT_FALSE(shape.logit_scale_per_head);
}

TEST(AttentionInput, MayHaveNoQueriesOrNoKeys) {
  EXPECT_EQ(shape_of({.q = {0, 6, 5}}).documents, Documents::single(0, 11));
  EXPECT_EQ(shape_of({.k = {0, 3, 5}, .v = {0, 3, 2}}).documents, Documents::single(7, 0));
}

TEST(AttentionInput, RefusesWhatIsNotAFile) {
  const Scratch scratch;
  auto communicator = comm::self();
  const auto complaint = [&](const std::string& path) {
    return input_error_of([&] { AttentionInput(path, communicator); });
  };
  EXPECT_EQ(complaint(scratch / "none.h5"), scratch / "none.h5" + ": there is no such file");
  EXPECT_THAT(complaint(scratch.folder().string()), HasSubstr("expected an HDF5 file"));
  std::ofstream(scratch / "text.h5") << "not HDF5";
  EXPECT_THAT(complaint(scratch / "text.h5"), HasSubstr("cannot be opened as an HDF5 file"));
}

TEST(AttentionInput, RefusesMissingDatasets) {
  EXPECT_THAT(complaint_of({.q = {}}), HasSubstr("no dataset /q"));
  EXPECT_THAT(complaint_of({.k = {}}), HasSubstr("no dataset /k"));
  EXPECT_THAT(complaint_of({.v = {}}), HasSubstr("no dataset /v"));
  EXPECT_THAT(complaint_of({.q = {},
                            .more =
                                [](PlainFile& file) {
                                  H5Gclose(H5Gcreate2(file.get(), "q", H5P_DEFAULT, H5P_DEFAULT,
                                                      H5P_DEFAULT));
                                }}),
              HasSubstr("/q cannot be opened as a dataset"));
}

TEST(AttentionInput, RefusesWrongRanks) {
  EXPECT_THAT(complaint_of({.q = {7, 30}}), HasSubstr("/q has shape (7, 30); expected 3 dim"));
  EXPECT_THAT(complaint_of({.k = {11}}), HasSubstr("/k has shape (11,); expected 3 dimensions"));
  EXPECT_THAT(complaint_of({.v = {1, 1, 11, 3, 2}}), HasSubstr("/v has shape (1, 1, 11, 3, 2)"));
  EXPECT_THAT(complaint_of({.q = {1, 7, 6, 5}}), HasSubstr("/k has no batch axis"));
  EXPECT_THAT(complaint_of({.k = {1, 11, 3, 5}}), HasSubstr("/k has a batch axis of 1"));
  EXPECT_THAT(complaint_of({.q = {2, 7, 6, 5}, .k = {2, 11, 3, 5}, .v = {3, 11, 3, 2}}),
              HasSubstr("/v has a batch axis of 3; expected a batch axis of 2"));
}

TEST(AttentionInput, RefusesEmptyHeadsAndDims) {
  EXPECT_THAT(complaint_of({.q = {7, 0, 5}}), HasSubstr("expected at least 1 head"));
  EXPECT_THAT(complaint_of({.k = {11, 0, 5}}), HasSubstr("/k has shape (11, 0, 5)"));
  EXPECT_THAT(complaint_of({.v = {11, 3, 0}}), HasSubstr("expected at least 1 element"));
  EXPECT_THAT(complaint_of({.q = {0, 7, 6, 5}, .k = {0, 11, 3, 5}, .v = {0, 11, 3, 2}}),
              HasSubstr("expected at least 1 batch entry"));
}

TEST(AttentionInput, RefusesOtherTypes) {
  EXPECT_THAT(
      complaint_of({.q = {},
                    .more =
                        [](PlainFile& file) {
                          file.put("q", {7, 6, 5}, sample_values_of({7, 6, 5}), H5T_STD_I32LE);
                        }}),
      HasSubstr("/q holds another type; expected floating-point numbers"));
  const auto offsets = complaint_of({.k = {7, 3, 5}, .v = {7, 3, 2}, .more = [](PlainFile& file) {
                                       file.put("cu_seqlens", {2}, {0, 7});
                                     }});
  EXPECT_THAT(offsets, HasSubstr("/cu_seqlens holds another type; expected integers (int64)"));
  EXPECT_THAT(complaint_with("gain", {6}, {1, 1, 1, 1, 1, 1}, H5T_STD_I64LE),
              HasSubstr("/gain holds another type"));
}

TEST(AttentionInput, RefusesShapesThatDoNotFit) {
  EXPECT_THAT(complaint_of({.q = {7, 5, 5}}), HasSubstr("/q has 5 heads and /k has 3"));
  EXPECT_THAT(complaint_of({.q = {7, 6, 4}}),
              HasSubstr("/k has 5 elements per head; expected 4 as in /q"));
  EXPECT_THAT(complaint_of({.v = {12, 3, 2}}), HasSubstr("/v has 12 rows; expected 11 as in /k"));
  EXPECT_THAT(complaint_of({.v = {11, 6, 2}}), HasSubstr("/v has 6 heads; expected 3 as in /k"));
}

TEST(AttentionInput, RefusesExtrasThatDoNotFit) {
  EXPECT_THAT(complaint_with("gain", {5}, {1, 1, 1, 1, 1}),
              HasSubstr("/gain has shape (5,); expected (6,) = (H,)"));
  EXPECT_THAT(complaint_with("sink", {6, 1}, {1, 1, 1, 1, 1, 1}),
              HasSubstr("/sink has shape (6, 1); expected (6,)"));
  EXPECT_THAT(complaint_with("logit_scale", {6}, sample_values_of({6})),
              HasSubstr("/logit_scale has shape (6,); expected (7,) or (7, 6)"));
  EXPECT_THAT(complaint_with("logit_scale", {7, 3}, sample_values_of({7, 3})),
              HasSubstr("/logit_scale has shape (7, 3)"));
  EXPECT_THAT(complaint_with("dout", {7, 6, 5}, sample_values_of({7, 6, 5})),
              HasSubstr("/dout has 5 elements per head; expected 2 as in /v"));
  EXPECT_THAT(complaint_with("dout", {11, 6, 2}, sample_values_of({11, 6, 2})),
              HasSubstr("/dout has 11 rows; expected 7 as in /q"));
  EXPECT_THAT(complaint_with("dout", {7, 3, 2}, sample_values_of({7, 3, 2})),
              HasSubstr("/dout has 3 heads; expected 6 as in /q"));
  EXPECT_THAT(complaint_with("dout", {1, 7, 6, 2}, sample_values_of({7, 6, 2})),
              HasSubstr("/dout has a batch axis of 1"));
}

TEST(AttentionInput, RefusesExtrasThatAreNotFinite) {
  EXPECT_THAT(complaint_with("gain", {6}, {1, 1, nan, 1, 1, 1}), HasSubstr("/gain[2] is nan"));
  EXPECT_THAT(complaint_with("gain", {6}, {1, -infinity, 1, 1, 1, 1}),
              HasSubstr("/gain[1] is -inf; expected finite numbers"));
  EXPECT_THAT(complaint_with("sink", {6}, {1, 1, 1, 1, 1, infinity}),
              HasSubstr("/sink[5] is inf; expected finite numbers or -inf"));
  EXPECT_THAT(complaint_with("sink", {6}, {nan, 1, 1, 1, 1, 1}), HasSubstr("/sink[0] is nan"));
}

std::string complaint_about_offsets(const std::vector<double>& queries,
                                    const std::vector<double>& keys) {
  return complaint_of(with([&](PlainFile& file) {
    if (!queries.empty()) file.put("cu_seqlens", {queries.size()}, queries, H5T_STD_I64LE);
    if (!keys.empty()) file.put("cu_seqlens_k", {keys.size()}, keys, H5T_STD_I64LE);
  }));
}

TEST(AttentionInput, RefusesOffsetsThatDoNotFit) {
  EXPECT_THAT(complaint_about_offsets({1, 7}, {0, 11}), HasSubstr("/cu_seqlens[0] is 1"));
  EXPECT_THAT(complaint_about_offsets({0, 5, 4, 7}, {0, 1, 2, 11}),
              HasSubstr("/cu_seqlens[2] is 4, less than 5"));
  EXPECT_THAT(complaint_about_offsets({0, 6}, {0, 11}),
              HasSubstr("/cu_seqlens ends at 6; expected 7, the rows of /q"));
  EXPECT_THAT(complaint_about_offsets({0, 7}, {0, 12}),
              HasSubstr("/cu_seqlens_k ends at 12; expected 11, the rows of /k"));
  EXPECT_THAT(complaint_about_offsets({0, 7}, {0, 5, 11}), HasSubstr("/cu_seqlens has 2 entries"));
  EXPECT_THAT(complaint_about_offsets({0, 7}, {-1, 11}), HasSubstr("/cu_seqlens_k[0] is -1"));
  EXPECT_THAT(complaint_about_offsets({0, 7}, {}), HasSubstr("expected /cu_seqlens_k too"));
  EXPECT_THAT(complaint_about_offsets({}, {0, 11}), HasSubstr("without /cu_seqlens"));
  EXPECT_THAT(complaint_of({.q = {2, 7, 6, 5},
                            .k = {2, 11, 3, 5},
                            .v = {2, 11, 3, 2},
                            .more =
                                [](PlainFile& file) {
                                  file.put("cu_seqlens", {3}, {0, 7, 14}, H5T_STD_I64LE);
                                }}),
              HasSubstr("/cu_seqlens does not go with a batch axis"));
}

TEST(AttentionInput, RefusesOnEveryRank) {
  const Scratch scratch;
  Sample{.q = {7, 5, 5}}.write(scratch / "input.h5");
  comm::run_threads(3, [&](comm::Communicator& communicator) {
    EXPECT_THAT(input_error_of([&] { AttentionInput(scratch / "input.h5", communicator); }),
                HasSubstr("/q has 5 heads"));
  });
}

}  // namespace
}  // namespace annulus::results
