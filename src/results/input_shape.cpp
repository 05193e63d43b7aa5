#include "results/input_shape.hpp"

#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "comm/broadcast.hpp"
#include "results/input_file.hpp"

namespace annulus::results {
namespace {

/// What the rows of the file lie like, as the caller or /q says; nothing where neither does.
std::optional<ArrayLayout> stated_layout(const InputFile& file, std::optional<ArrayLayout> asked) {
  const auto stated = file.layout("q");
  if (asked && stated && asked != stated) {
    file.refuse(fmt::format("/q has the attribute layout = {}; expected {}, which was asked for",
                            name_of(*stated), name_of(*asked)));
  }
  return asked ? asked : stated;
}

/// (rows, heads, dim) of an array, and the length of the leading batch axis, if any.
struct ArrayShape {
  Dims batch;
  Index rows;
  Index heads;
  Index dim;
};

ArrayShape array_shape(const InputFile& file, const std::string& name,
                       std::optional<ArrayLayout> stated) {
  const Dims dims = file.dims(name);
  file.check_array(name);
  if (!stated && dims.size() != 3 && dims.size() != 4) {
    file.refuse(
        fmt::format("/{} has shape {}; expected 3 dimensions (rows, heads, dim), or 4 with "
                    "a leading batch axis",
                    name, InputFile::shape_text(dims)));
  }
  const auto layout = stated.value_or(dims.size() == 3 ? ArrayLayout::nhd : ArrayLayout::bnhd);
  if (const auto own = file.layout(name).value_or(layout); own != layout) {
    file.refuse(fmt::format("/{} has the attribute layout = {}; expected {} as for /q", name,
                            name_of(own), name_of(layout)));
  }
  const std::size_t lead = has_batch_axis(layout) ? 1 : 0;
  if (dims.size() != lead + 3) {
    file.refuse(fmt::format("/{} has shape {}; expected {} dimensions {}, the layout {}", name,
                            InputFile::shape_text(dims), lead + 3, axes_of(layout),
                            name_of(layout)));
  }
  const std::size_t row_axis = layout == ArrayLayout::bhnd ? 2 : lead;
  const std::size_t head_axis = layout == ArrayLayout::bhnd ? 1 : lead + 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && i != row_axis) {
      file.refuse(fmt::format("/{} has shape {}; expected at least 1 {}", name,
                              InputFile::shape_text(dims),
                              i < lead         ? "batch entry"
                              : i == head_axis ? "head"
                                               : "element"));
    }
  }
  return {{dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(lead)},
          static_cast<Index>(dims[row_axis]),
          static_cast<Index>(dims[head_axis]),
          static_cast<Index>(dims.back())};
}

void expect_same(const InputFile& file, const std::string& name, const char* what, Index found,
                 const std::string& other, Index expected) {
  if (found == expected) return;
  file.refuse(
      fmt::format("/{} has {} {}; expected {} as in /{}", name, found, what, expected, other));
}

Documents read_documents(const InputFile& file, const ArrayShape& q, const ArrayShape& k) {
  const bool packed = file.has("cu_seqlens");
  const bool packed_keys = file.has("cu_seqlens_k");
  if (packed_keys && !packed) file.refuse("/cu_seqlens_k is there without /cu_seqlens");
  if (!q.batch.empty()) {
    if (packed) file.refuse("/cu_seqlens does not go with a batch axis; expected one of them");
    return Documents::batch(static_cast<Index>(q.batch[0]), q.rows, k.rows);
  }
  if (!packed) return Documents::single(q.rows, k.rows);
  if (!packed_keys && q.rows != k.rows) {
    file.refuse(
        fmt::format("/cu_seqlens is there for {} queries and {} keys; expected "
                    "/cu_seqlens_k too, or as many keys as queries",
                    q.rows, k.rows));
  }
  const auto offsets = [&](const std::string& name, Index rows, const char* array) {
    auto values = file.read<Index>(name, H5T_INTEGER, H5T_NATIVE_INT64);
    if (!values.empty() && values.back() != rows) {
      file.refuse(fmt::format("/{} ends at {}; expected {}, the rows of /{}", name, values.back(),
                              rows, array));
    }
    return values;
  };
  auto queries = offsets("cu_seqlens", q.rows, "q");
  auto keys = packed_keys ? offsets("cu_seqlens_k", k.rows, "k") : queries;
  try {
    return Documents::packed(std::move(queries), std::move(keys));
  } catch (const InputError& error) {
    file.refuse(fmt::format("/{}", error.what()));
  }
}

std::vector<double> read_heads(const InputFile& file, const std::string& name, Index heads,
                               bool infinite_below) {
  if (!file.has(name)) return {};
  file.expect(name, file.dims(name), {static_cast<hsize_t>(heads)}, "(H,)");
  auto values = file.read<double>(name, H5T_FLOAT, H5T_NATIVE_DOUBLE);
  for (std::size_t h = 0; h < values.size(); ++h) {
    if (std::isfinite(values[h]) || (infinite_below && values[h] == -HUGE_VAL)) continue;
    file.refuse(fmt::format("/{}[{}] is {}; expected finite numbers{}", name, h, values[h],
                            infinite_below ? " or -inf" : ""));
  }
  return values;
}

/// Whether /logit_scale has a number for each head, (n_q, H), rather than one for all, (n_q).
bool logit_scale_per_head(const InputFile& file, const ArrayShape& q, ArrayLayout layout) {
  const Dims dims = file.dims("logit_scale");
  Dims rows = q.batch;
  rows.push_back(static_cast<hsize_t>(q.rows));
  if (dims == rows) return false;
  Dims with_heads = rows;
  with_heads.insert(layout == ArrayLayout::bhnd ? with_heads.end() - 1 : with_heads.end(),
                    static_cast<hsize_t>(q.heads));
  if (dims == with_heads) return true;
  file.refuse(fmt::format(
      "/logit_scale has shape {}; expected {} or {}, for the rows and heads of "
      "/q",
      InputFile::shape_text(dims), InputFile::shape_text(rows), InputFile::shape_text(with_heads)));
}

InputShape read_shape(const std::string& path, std::optional<ArrayLayout> asked) {
  const InputFile file(path);
  const auto stated = stated_layout(file, asked);
  const ArrayShape q = array_shape(file, "q", stated);
  const ArrayShape k = array_shape(file, "k", stated);
  const ArrayShape v = array_shape(file, "v", stated);
  const auto layout = stated.value_or(q.batch.empty() ? ArrayLayout::nhd : ArrayLayout::bnhd);
  const auto same_batch = [&](const std::string& name, const ArrayShape& array) {
    if (array.batch == q.batch) return;
    const auto text = [](const ArrayShape& a) {
      return a.batch.empty() ? std::string("no batch axis")
                             : fmt::format("a batch axis of {}", a.batch[0]);
    };
    file.refuse(fmt::format("/{} has {}; expected {} as in /q", name, text(array), text(q)));
  };
  same_batch("k", k);
  same_batch("v", v);
  expect_same(file, "v", "rows", v.rows, "k", k.rows);
  expect_same(file, "v", "heads", v.heads, "k", k.heads);
  expect_same(file, "k", "elements per head", k.dim, "q", q.dim);
  if (q.heads % k.heads != 0) {
    file.refuse(fmt::format("/q has {} heads and /k has {}; expected a multiple of /k's", q.heads,
                            k.heads));
  }
  InputShape shape{
      .query_heads = q.heads,
      .key_heads = k.heads,
      .head_dim = q.dim,
      .value_dim = v.dim,
      .documents = read_documents(file, q, k),
      .layout = layout,
      .layout_is_guessed = !stated,
      .has_dout = file.has("dout"),
      .has_logit_scale = file.has("logit_scale"),
      .logit_scale_per_head = file.has("logit_scale") && logit_scale_per_head(file, q, layout),
      .gain = read_heads(file, "gain", q.heads, /*infinite_below=*/false),
      .sink = read_heads(file, "sink", q.heads, /*infinite_below=*/true)};
  if (shape.has_dout) {
    const ArrayShape dout = array_shape(file, "dout", stated);
    same_batch("dout", dout);
    expect_same(file, "dout", "rows", dout.rows, "q", q.rows);
    expect_same(file, "dout", "heads", dout.heads, "q", q.heads);
    expect_same(file, "dout", "elements per head", dout.dim, "v", v.dim);
  }
  return shape;
}

}  // namespace

InputShape read_input_shape(const std::string& path, std::optional<ArrayLayout> layout) {
  const h5::Lock lock;
  try {
    return read_shape(path, layout);
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {  // a call into HDF5 that failed: a damaged file
    throw InputError(error.what());
  }
}

void broadcast(comm::Communicator& communicator, InputShape& shape) {
  std::vector<Index> numbers{shape.query_heads,
                             shape.key_heads,
                             shape.head_dim,
                             shape.value_dim,
                             static_cast<Index>(shape.layout),
                             shape.layout_is_guessed,
                             shape.has_dout,
                             shape.has_logit_scale,
                             shape.logit_scale_per_head};
  std::vector<Index> queries(shape.documents.query_offsets().begin(),
                             shape.documents.query_offsets().end());
  std::vector<Index> keys(shape.documents.key_offsets().begin(),
                          shape.documents.key_offsets().end());
  broadcast(communicator, numbers);
  broadcast(communicator, queries);
  broadcast(communicator, keys);
  broadcast(communicator, shape.gain);
  broadcast(communicator, shape.sink);
  shape.query_heads = numbers[0];
  shape.key_heads = numbers[1];
  shape.head_dim = numbers[2];
  shape.value_dim = numbers[3];
  shape.layout = static_cast<ArrayLayout>(numbers[4]);
  shape.layout_is_guessed = numbers[5] != 0;
  shape.has_dout = numbers[6] != 0;
  shape.has_logit_scale = numbers[7] != 0;
  shape.logit_scale_per_head = numbers[8] != 0;
  shape.documents = Documents::packed(std::move(queries), std::move(keys));
}

}  // namespace annulus::results
