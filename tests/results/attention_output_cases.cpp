// Rows written by every transport, sharding and type.

#include <gmock/gmock.h>

#include <fstream>

#include "annulus/results/attention_output.hpp"
#include "results/attention_world.hpp"
#include "results/h5/attribute.hpp"

namespace annulus::results {
namespace {

using ::testing::HasSubstr;

constexpr Index H = 6;
constexpr Index d_v = 5;

Provenance provenance() {
  return {.command_line = "annulus attend in.h5 --output out.h5",
          .config = "mask = \"full\"\n",
          .mpi_library = "",
          .ranks = 1,
          .threads_per_rank = 1,
          .hosts = {"alpha"},
          .device = "cpu",
          .backend = "reference"};
}

/// The rank's rows with sample_value of their place, in a buffer with gaps between heads and rows.
template <class T>
struct StridedRows {
  std::vector<T> values;
  ConstTensorView view;

  StridedRows(const RowsCase& kind, std::span<const Index> offsets, const Shard& shard, Index heads,
              Index dim, Index shift) {
    const auto rows = packed_rows(shard, offsets);
    const Index head_stride = dim + 2;
    const Index row_stride = heads * head_stride + 3;
    values.assign(static_cast<std::size_t>(row_stride) * rows.size() + 1, T{-7777});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (Index e = 0; e < heads * dim; ++e) {
        const Index at = static_cast<Index>(i) * row_stride + e / dim * head_stride + e % dim;
        values[static_cast<std::size_t>(at)] =
            static_cast<T>(sample_value(kind.place(offsets, rows[i], e, heads, dim) + shift));
      }
    }
    view = {values.data(), data_type_of<T>, static_cast<Index>(rows.size()), heads, dim,
            row_stride,    head_stride};
  }
};

std::vector<OutputArray> arrays(DataType type) {
  return {{"/out", RowsOf::queries, type, H, d_v},
          {"/statistics/entropy", RowsOf::queries, type, H},
          {"/dk", RowsOf::keys, type, H, d_v},
          {"/dgain", RowsOf::nothing, type, H}};
}

template <class T>
void write_output(comm::Communicator& communicator, const std::string& path, const RowsCase& rows,
                  Sharding sharding, Index largest_transfer) {
  AttentionOutput output(path, communicator,
                         {.documents = rows.documents,
                          .layout = rows.layout,
                          .arrays = arrays(data_type_of<T>),
                          .provenance = provenance(),
                          .largest_transfer = largest_transfer});
  const auto rank = static_cast<std::size_t>(communicator.rank());
  const auto queries = rows.documents.query_offsets();
  const auto keys = rows.documents.key_offsets();
  const auto shard = make_shards(sharding, queries, communicator.size())[rank];
  const auto key_shard = make_shards(sharding, keys, communicator.size())[rank];
  const StridedRows<T> out(rows, queries, shard, H, d_v, 0);
  const StridedRows<T> entropy(rows, queries, shard, H, 1, 100);
  const StridedRows<T> dk(rows, keys, key_shard, H, d_v, 200);
  output.write_rows("/out", shard, out.view);
  output.write_rows("/statistics/entropy", shard, entropy.view);
  output.write_rows("/dk", key_shard, dk.view);
  output.write_heads("/dgain", std::vector<double>{1, 2, 3, 4, 5, 6.5});
  communicator.barrier();
  EXPECT_FALSE(std::filesystem::exists(path)) << "the output is there before it is whole";
  communicator.barrier();
  output.commit();
}

void expect_array(const std::string& path, const std::string& name, const Dims& dims,
                  std::size_t element_bytes, const std::vector<double>& values) {
  const auto found = get_array(path, name);
  EXPECT_EQ(found.dims, dims) << name;
  EXPECT_EQ(found.element_bytes, element_bytes) << name;
  EXPECT_EQ(found.values, values) << name;
}

void expect_output(const std::string& path, const RowsCase& rows, std::size_t element_bytes) {
  const auto queries = rows.documents.query_offsets();
  const auto out_dims = rows.dims(queries, {H, d_v});
  expect_array(path, "/out", out_dims, element_bytes, sample_values_of(out_dims));
  const auto entropy_dims = rows.dims(queries, {H});
  expect_array(path, "/statistics/entropy", entropy_dims, element_bytes,
               sample_values_of(entropy_dims, 100));
  const auto dk_dims = rows.dims(rows.documents.key_offsets(), {H, d_v});
  expect_array(path, "/dk", dk_dims, element_bytes, sample_values_of(dk_dims, 200));
  expect_array(path, "/dgain", {H}, element_bytes, {1, 2, 3, 4, 5, 6.5});
}

TEST_P(AttentionFiles, WriteEveryRowOfEveryShard) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    int files = 0;
    for (const auto& rows : rows_cases()) {
      for (const Sharding sharding : all_shardings()) {
        SCOPED_TRACE(testing::Message() << rows.name << " " << name_of(sharding));
        const auto whole = scratch / (std::to_string(++files) + ".h5");
        write_output<float>(communicator, whole, rows, sharding, Index{1} << 28);
        const auto pieces = scratch / (std::to_string(++files) + ".h5");
        write_output<double>(communicator, pieces, rows, sharding, 1000);
        if (communicator.rank() != 0) continue;
        expect_output(whole, rows, 4);
        expect_output(pieces, rows, 8);
      }
    }
    communicator.barrier();
    if (communicator.rank() == 0) {
      EXPECT_EQ(scratch.of_root().entries(), files);
    }
  });
}

TEST_P(AttentionFiles, SayWhereTheyComeFrom) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    const auto path = scratch / "out.h5";
    write_output<float>(communicator, path, rows_cases()[0], Sharding::zigzag, 1000);
    if (communicator.rank() != 0) return;
    const h5::Lock lock;
    const auto file =
        h5::own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "H5Fopen", path);
    EXPECT_EQ(h5::read_number(file.get(), "complete"), 1);
    EXPECT_EQ(h5::read_text(file.get(), "command_line"), "annulus attend in.h5 --output out.h5");
    EXPECT_EQ(h5::read_text(file.get(), "config"), "mask = \"full\"\n");
    EXPECT_EQ(h5::read_text(file.get(), "mpi_library"), "");
    EXPECT_THAT(h5::read_text(file.get(), "finished_at"),
                testing::MatchesRegex("....-..-..T..:..:..Z"));
  });
}

TEST_P(AttentionFiles, StandAsideForAFileThatExists) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    const auto path = scratch / "out.h5";
    if (communicator.rank() == 0) std::ofstream(path) << "precious";
    communicator.barrier();
    const auto rows = rows_cases()[0];
    const auto message = input_error_of([&] {
      AttentionOutput(path, communicator,
                      {.documents = rows.documents, .provenance = provenance()});
    });
    EXPECT_EQ(message, "--output " + path + ": the file exists; pass --overwrite");
    {
      // What is not committed leaves all as it was.
      const AttentionOutput output(path, communicator,
                                   {.documents = rows.documents,
                                    .provenance = provenance(),
                                    .existing = Existing::overwrite});
    }
    communicator.barrier();
    if (communicator.rank() == 0) {
      EXPECT_EQ(scratch.of_root().entries(), 1);
      std::string content;
      std::ifstream(path) >> content;
      EXPECT_EQ(content, "precious");
    }
  });
}

TEST_P(AttentionFiles, RefuseFoldersThatAreNotThere) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    const auto path = scratch / "missing/out.h5";
    const auto message = input_error_of([&] {
      AttentionOutput(path, communicator,
                      {.documents = Documents::single(7), .provenance = provenance()});
    });
    EXPECT_THAT(message, HasSubstr("--output " + path));
  });
}

TEST_P(AttentionFiles, RefuseShardsThatLackRows) {
  on_ranks([](comm::Communicator& communicator) {
    const SharedScratch scratch(communicator);
    AttentionOutput output(scratch / "out.h5", communicator,
                           {.documents = Documents::single(97),
                            .arrays = arrays(DataType::float32),
                            .provenance = provenance()});
    const StridedRows<float> none(rows_cases()[0], {}, {}, H, d_v, 0);
    EXPECT_THROW(output.write_rows("/out", {}, none.view), Error);
    EXPECT_THROW(output.commit(), Error) << "arrays are missing";
  });
}

}  // namespace
}  // namespace annulus::results
