// The only file that includes cuDNN. Its C++ frontend is header-only and calls libcudnn through
// cudnn_dlhandle, which this file opens.
#include "kernels/cudnn/library.hpp"

#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <compare>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/device/buffer.hpp"
#include "annulus/device/device.hpp"
#include "annulus/kernels/cudnn.hpp"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend's name for it
}

namespace annulus::kernels {
namespace gpu {
namespace {

namespace fe = cudnn_frontend;
using device::Stream;

/// The oldest release whose attention the frontend does not hedge with exceptions for what is used
/// here.
constexpr std::size_t oldest_version = 91002;

/// What is known of libcudnn once it was looked for.
struct Loaded {
  std::size_t version = 0;
  std::string problem{};
};

std::string text_of(std::size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

Loaded load() {
  constexpr auto* name = "libcudnn.so.9";
  fe::cudnn_dlhandle = dlopen(name, RTLD_NOW);
  if (fe::cudnn_dlhandle == nullptr) {
    const char* reason = dlerror();
    return {0, fmt::format("{} cannot be loaded: {}", name, reason == nullptr ? "" : reason)};
  }
  const auto version = fe::detail::get_backend_version();
  if (version < oldest_version) {
    return {version,
            fmt::format("cuDNN {} is older than {}", text_of(version), text_of(oldest_version))};
  }
  return {version, {}};
}

const Loaded& loaded() {
  static const Loaded once = load();
  return once;
}

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(fmt::format("{} failed: {}", call, fe::detail::get_error_string(status)));
}

/// cuDNN has no kernel for a pair, or fails to prepare one.
void check_supported(fe::error_t error) {
  if (error.is_good()) return;
  throw InputError(
      fmt::format("backend cudnn: cuDNN {} does not take this attention: {}; expected "
                  "--backend cuda",
                  text_of(loaded().version), error.get_message()));
}

/// What a graph is built for: everything of a pair but its pointers.
struct PairShape {
  DataType type;
  PairMask mask;
  Index queries;
  Index keys;
  int heads;
  int key_heads;
  float scale;
  int dim;
  int value_dim;
  std::array<Index, 6> strides;  ///< of rows and heads of q, k and v

  explicit PairShape(const PairArguments& pair)
      : type(pair.type),
        mask(pair.mask),
        queries(pair.queries),
        keys(pair.keys),
        heads(pair.heads),
        key_heads(pair.key_heads),
        scale(pair.scale),
        dim(pair.q.dim),
        value_dim(pair.v.dim),
        strides{pair.q.row_stride,  pair.q.head_stride, pair.k.row_stride,
                pair.k.head_stride, pair.v.row_stride,  pair.v.head_stride} {}

  friend auto operator<=>(const PairShape&, const PairShape&) = default;
};

/// The names of tensors in a graph.
enum Uid : std::int64_t { uid_q = 1, uid_k, uid_v, uid_out, uid_lse };

/// A graph that is ready to run, and the memory that it asks for.
struct PairGraph {
  std::unique_ptr<fe::graph::Graph> graph;
  std::size_t workspace_bytes;
};

/// A tensor (1, heads, rows, dim), as cuDNN orders it.
fe::graph::Tensor_attributes tensor(const char* name, Uid uid, Index heads, Index rows, Index dim,
                                    Index row_stride, Index head_stride) {
  return fe::graph::Tensor_attributes()
      .set_name(name)
      .set_uid(uid)
      .set_dim({1, heads, rows, dim})
      .set_stride({rows * row_stride, head_stride, row_stride, 1});
}

/// The graph of a pair for a GPU of this compute capability, 10 major + minor.
std::unique_ptr<fe::graph::Graph> graph_of(const PairShape& pair, int compute_capability) {
  auto graph = std::make_unique<fe::graph::Graph>();
  graph
      ->set_io_data_type(pair.type == DataType::bfloat16 ? fe::DataType_t::BFLOAT16
                                                         : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT)
      // Known, so that the frontend need not load a CUDA runtime of its own to ask for it.
      .set_sm_version(compute_capability);
  const auto& strides = pair.strides;
  const auto q =
      graph->tensor(tensor("q", uid_q, pair.heads, pair.queries, pair.dim, strides[0], strides[1]));
  const auto k = graph->tensor(
      tensor("k", uid_k, pair.key_heads, pair.keys, pair.dim, strides[2], strides[3]));
  const auto v = graph->tensor(
      tensor("v", uid_v, pair.key_heads, pair.keys, pair.value_dim, strides[4], strides[5]));
  auto options = fe::graph::SDPA_attributes()
                     .set_name("attention")
                     .set_generate_stats(true)
                     .set_attn_scale(pair.scale);
  if (pair.mask == PairMask::causal) {
    options.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
  }
  const auto [out, lse] = graph->sdpa(q, k, v, options);
  const Index out_row = static_cast<Index>(pair.heads) * pair.value_dim;
  out->set_output(true)
      .set_uid(uid_out)
      .set_dim({1, pair.heads, pair.queries, pair.value_dim})
      .set_stride({pair.queries * out_row, pair.value_dim, out_row, 1});
  lse->set_output(true)
      .set_uid(uid_lse)
      .set_data_type(fe::DataType_t::FLOAT)
      .set_dim({1, pair.heads, pair.queries, 1})
      .set_stride({pair.heads * pair.queries, pair.queries, 1, 1});
  return graph;
}

PairGraph build(const PairShape& pair, cudnnHandle_t handle, int compute_capability) {
  auto graph = graph_of(pair, compute_capability);
  check_supported(graph->build(handle, {fe::HeurMode_t::A}));
  const auto bytes = graph->get_workspace_size();
  ensure(bytes >= 0, "cuDNN knows the workspace of what it has built");
  return {std::move(graph), static_cast<std::size_t>(bytes)};
}

/// A handle of one device and the graphs that were built with it, kept from pass to pass.
class Session {
 public:
  /// The device is that of the calling thread.
  explicit Session(Device device) {
    const auto gpu = visible_gpus().at(static_cast<std::size_t>(device.index));
    compute_capability_ = 10 * gpu.compute_major + gpu.compute_minor;
    check(fe::detail::create_handle(&handle_), "cudnnCreate");
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void use(Stream& stream) {
    const auto queue = static_cast<cudaStream_t>(stream.handle());
    check(fe::detail::set_stream(handle_, queue), "cudnnSetStream");
    // What earlier passes have left on another stream.
    if (last_ != nullptr) stream.wait(*last_);
  }

  void leave(Stream& stream) { last_ = stream.record(); }

  [[nodiscard]] const PairGraph& graph(const PairShape& shape, Stream& stream) {
    const auto at = graphs_.find(shape);
    if (at != graphs_.end()) return at->second;
    if (graphs_.size() == most_graphs) {
      stream.synchronize();  // their kernels are loaded until they have run
      graphs_.clear();
    }
    return graphs_.emplace(shape, build(shape, handle_, compute_capability_)).first->second;
  }

  [[nodiscard]] cudnnHandle_t handle() const { return handle_; }

 private:
  static constexpr std::size_t most_graphs = 256;

  cudnnHandle_t handle_ = nullptr;
  int compute_capability_ = 0;
  std::map<PairShape, PairGraph> graphs_;
  std::shared_ptr<const device::Event> last_;
};

/// Sessions that no pass is using. They stay to the end of the process, which may come after that
/// of the driver: nothing is destroyed then.
class Sessions {
 public:
  static Sessions& all() {
    static auto& sessions = *new Sessions;
    return sessions;
  }

  /// A session of a device, which is that of the calling thread.
  [[nodiscard]] std::unique_ptr<Session> take(Device device) {
    {
      const std::lock_guard lock(mutex_);
      auto& idle = idle_[device.index];
      if (!idle.empty()) {
        auto session = std::move(idle.back());
        idle.pop_back();
        return session;
      }
    }
    return std::make_unique<Session>(device);
  }

  void give(Device device, std::unique_ptr<Session> session) {
    const std::lock_guard lock(mutex_);
    idle_[device.index].push_back(std::move(session));
  }

 private:
  std::mutex mutex_;
  std::map<int, std::vector<std::unique_ptr<Session>>> idle_;
};

class CudnnPairs final : public PairAttention {
 public:
  explicit CudnnPairs(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {
    static_cast<void>(stream_->handle());  // makes its device that of this thread
    session_ = Sessions::all().take(stream_->device());
    session_->use(*stream_);
  }
  CudnnPairs(const CudnnPairs&) = delete;
  CudnnPairs& operator=(const CudnnPairs&) = delete;
  ~CudnnPairs() override {
    try {
      session_->leave(*stream_);
      Sessions::all().give(stream_->device(), std::move(session_));
    } catch (const std::exception&) {
      // A device that has failed has no more use for the session.
      static_cast<void>(session_.release());
    }
  }

  void enqueue(const PairArguments& pair) override {
    static_cast<void>(stream_->handle());
    const auto& [graph, workspace_bytes] = session_->graph(PairShape(pair), *stream_);
    const device::Buffer workspace(stream_, workspace_bytes);
    std::unordered_map<std::int64_t, void*> tensors{{uid_q, const_cast<void*>(pair.q.data)},
                                                    {uid_k, const_cast<void*>(pair.k.data)},
                                                    {uid_v, const_cast<void*>(pair.v.data)},
                                                    {uid_out, pair.out},
                                                    {uid_lse, pair.lse}};
    auto error = graph->execute(session_->handle(), tensors, workspace.data());
    if (error.is_bad()) throw Error(fmt::format("cuDNN failed: {}", error.get_message()));
  }

 private:
  std::shared_ptr<Stream> stream_;
  std::unique_ptr<Session> session_;
};

class Cudnn final : public PairLibrary {
 public:
  [[nodiscard]] std::string problem() const override { return loaded().problem; }
  [[nodiscard]] std::unique_ptr<PairAttention> open(
      const std::shared_ptr<Stream>& stream) const override {
    return std::make_unique<CudnnPairs>(stream);
  }
};

}  // namespace

const PairLibrary& cudnn_library() {
  static const Cudnn library;
  return library;
}

}  // namespace gpu

std::string cudnn_version() {
  const auto version = gpu::loaded().version;
  return version == 0 ? std::string{} : gpu::text_of(version);
}

std::string cudnn_problem() {
  return gpu::loaded().problem;
}

}  // namespace annulus::kernels
