// Rows read by every transport, sharding and type.

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "annulus/results/attention_input.hpp"
#include "results/attention_world.hpp"

namespace annulus::results {
namespace {

using ::testing::HasSubstr;

constexpr hsize_t H = 6;
constexpr hsize_t G = 3;
constexpr hsize_t d = 5;
constexpr hsize_t d_v = 2;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// A call into HDF5, to be made while the lock is held.
using FileType = std::function<hid_t()>;

/// Writes q, k, v, dout and logit_scale whose elements are sample_value(place + shift).
void write_input(const std::string& path, const RowsCase& rows, const FileType& type,
                 bool chunked) {
  PlainFile file(path);
  const auto queries = rows.documents.query_offsets();
  const auto keys = rows.documents.key_offsets();
  const auto put = [&](const std::string& name, std::span<const Index> offsets,
                       const Dims& trailing, Index shift) {
    const Dims dims = rows.dims(offsets, trailing);
    Dims chunk;
    if (chunked) {
      for (const hsize_t length : dims) chunk.push_back(std::max<hsize_t>(1, (length + 1) / 2));
    }
    file.put(name, dims, sample_values_of(dims, shift), type(), chunk);
  };
  put("q", queries, {H, d}, 0);
  put("k", keys, {G, d}, 100);
  put("v", keys, {G, d_v}, 200);
  put("dout", queries, {H, d_v}, 300);
  put("logit_scale", queries, {H}, 400);
  if (!has_batch_axis(rows.layout) && rows.documents.count() > 1) {
    const auto put_offsets = [&](const std::string& name, std::span<const Index> offsets) {
      file.put(name, {offsets.size()}, {offsets.begin(), offsets.end()}, H5T_STD_I64LE);
    };
    put_offsets("cu_seqlens", queries);
    put_offsets("cu_seqlens_k", keys);
  }
}

/// Whether `tensor` holds the packed rows `rows` of an array.
template <class T>
void expect_rows(const Tensor& tensor, const RowsCase& kind, std::span<const Index> offsets,
                 const std::vector<Index>& rows, Index heads, Index dim, Index shift) {
  const auto view = tensor.view();
  ASSERT_TRUE(view.has_shape(static_cast<Index>(rows.size()), heads, dim));
  for (Index i = 0; i < view.rows; ++i) {
    for (Index e = 0; e < heads * dim; ++e) {
      const auto found = static_cast<double>(view.row<T>(i, e / dim)[e % dim]);
      const Index place = kind.place(offsets, rows[static_cast<std::size_t>(i)], e, heads, dim);
      ASSERT_EQ(found, sample_value(place + shift)) << "row " << i << " element " << e;
    }
  }
}

template <class T>
void expect_input(comm::Communicator& communicator, const std::string& path, const RowsCase& rows,
                  Sharding sharding, Index largest_transfer) {
  const AttentionInput input(path, communicator,
                             {.layout = rows.layout, .largest_transfer = largest_transfer});
  ASSERT_EQ(input.shape().documents, rows.documents);
  ASSERT_EQ(input.shape().layout, rows.layout);
  const auto queries = rows.documents.query_offsets();
  const auto keys = rows.documents.key_offsets();
  const auto rank = static_cast<std::size_t>(communicator.rank());
  const auto query_shard = make_shards(sharding, queries, communicator.size())[rank];
  const auto key_shard = make_shards(sharding, keys, communicator.size())[rank];
  const auto query_rows = packed_rows(query_shard, queries);
  const auto key_rows = packed_rows(key_shard, keys);
  const auto type = data_type_of<T>;
  expect_rows<T>(input.read_rows(InputRows::q, query_shard, type), rows, queries, query_rows, H, d,
                 0);
  expect_rows<T>(input.read_rows(InputRows::k, key_shard, type), rows, keys, key_rows, G, d, 100);
  expect_rows<T>(input.read_rows(InputRows::v, key_shard, type), rows, keys, key_rows, G, d_v, 200);
  expect_rows<T>(input.read_rows(InputRows::dout, query_shard, type), rows, queries, query_rows, H,
                 d_v, 300);
  const auto scales = input.read_logit_scale(query_shard);
  ASSERT_EQ(scales.size(), query_rows.size() * H);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const auto at = rows.place(queries, query_rows[i / H], static_cast<Index>(i % H), Index{H}, 1);
    ASSERT_EQ(scales[i], sample_value(at + 400));
  }
}

TEST_P(AttentionFiles, ReadEveryRowOfEveryShard) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    int files = 0;
    for (const auto& rows : rows_cases()) {
      const auto path = scratch / ("input" + std::to_string(++files) + ".h5");
      if (communicator.rank() == 0)
        write_input(
            path, rows, [] { return H5T_IEEE_F32LE; }, false);
      communicator.barrier();
      for (const Sharding sharding : all_shardings()) {
        SCOPED_TRACE(testing::Message() << rows.name << " " << name_of(sharding));
        expect_input<float>(communicator, path, rows, sharding, Index{1} << 28);
        expect_input<double>(communicator, path, rows, sharding, 1000);
      }
    }
  });
}

TEST_P(AttentionFiles, ReadEveryType) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    const auto rows = rows_cases()[2];
    const std::vector<FileType> types{float16_type, [] { return H5T_IEEE_F64LE; },
                                      [] { return H5T_IEEE_F32BE; }};
    int files = 0;
    for (const bool chunked : {false, true}) {
      for (const auto& type : types) {
        const auto path = scratch / ("input" + std::to_string(++files) + ".h5");
        if (communicator.rank() == 0) write_input(path, rows, type, chunked);
        communicator.barrier();
        SCOPED_TRACE(testing::Message() << path << (chunked ? " chunked" : ""));
        expect_input<float>(communicator, path, rows, Sharding::zigzag, 1000);
        expect_input<double>(communicator, path, rows, Sharding::striped, 1000);
      }
    }
  });
}

/// Reads q as `type` from a file in which some elements are replaced.
void expect_complaint(comm::Communicator& communicator, const RowsCase& rows, DataType type,
                      const std::vector<std::pair<Index, double>>& replaced,
                      const std::string& complaint) {
  const SharedScratch scratch(communicator);
  const auto path = scratch / "input.h5";
  if (communicator.rank() == 0) {
    PlainFile file(path);
    const Dims dims = rows.dims(rows.documents.query_offsets(), {H, d});
    auto values = sample_values_of(dims);
    for (const auto& [element, value] : replaced) {
      values[static_cast<std::size_t>(element)] = value;
    }
    file.put("q", dims, values, H5T_IEEE_F64LE);
    const Dims key_dims = rows.dims(rows.documents.key_offsets(), {G, d});
    file.put("k", key_dims, sample_values_of(key_dims));
    file.put("v", key_dims, sample_values_of(key_dims));
  }
  communicator.barrier();
  const AttentionInput input(path, communicator, {.layout = rows.layout, .largest_transfer = 500});
  const auto shards =
      make_shards(Sharding::contiguous, rows.documents.query_offsets(), communicator.size());
  const auto& shard = shards[static_cast<std::size_t>(communicator.rank())];
  const auto message =
      input_error_of([&] { static_cast<void>(input.read_rows(InputRows::q, shard, type)); });
  EXPECT_EQ(message, path + ": " + complaint);
  // The file can be read on, by all.
  EXPECT_NO_THROW(static_cast<void>(input.read_rows(InputRows::k, {}, type)));
}

TEST_P(AttentionFiles, NameAnElementThatIsNotFinite) {
  on_ranks([](comm::Communicator& communicator) {
    const RowsCase single{"single", Documents::single(97), ArrayLayout::nhd};
    const RowsCase batch{"batch", Documents::batch(3, 17, 13), ArrayLayout::bnhd};
    const auto element = [](Index row, Index head, Index column) {
      return (row * static_cast<Index>(H) + head) * static_cast<Index>(d) + column;
    };
    // Of several, the first in the order of the ranks.
    expect_complaint(communicator, single, DataType::float64,
                     {{element(96, 0, 0), infinity}, {element(12, 3, 4), nan}},
                     "/q[12, 3, 4] is nan in fp64; expected finite numbers");
    expect_complaint(communicator, batch, DataType::float32,
                     {{element(2 * 17 + 5, 1, 0), -infinity}},
                     "/q[2, 5, 1, 0] is -inf in fp32; expected finite numbers");
    // Head 4 of row 5 of the third document, with heads before rows.
    expect_complaint(
        communicator, {"heads first", Documents::batch(3, 17, 13), ArrayLayout::bhnd},
        DataType::float32,
        {{((2 * static_cast<Index>(H) + 4) * 17 + 5) * static_cast<Index>(d) + 3, nan}},
        "/q[2, 4, 5, 3] is nan in fp32; expected finite numbers");
    // Finite in the file, but not in the type that is computed with.
    expect_complaint(communicator, single, DataType::float32, {{element(50, 5, 2), 1e300}},
                     "/q[50, 5, 2] is inf in fp32; expected finite numbers");
  });
}

}  // namespace
}  // namespace annulus::results
