// The only file that includes cuDNN. Its C++ frontend is header-only and calls libcudnn through
// cudnn_dlhandle, which this file opens.
#include "kernels/cudnn/library.hpp"

#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <algorithm>
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
#include "annulus/plan/pass.hpp"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend's name for it
}

namespace annulus::kernels {
namespace gpu {
namespace {

namespace fe = cudnn_frontend;
using device::Stream;

/// The oldest release whose attention and gradients the frontend neither hedges with exceptions nor
/// works around, for what is used here on compute capability 8.0 to 9.0.
constexpr std::size_t oldest_version = 91501;

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

std::string text_of(fe::error_t error) {
  return error.is_good() ? std::string{} : error.get_message();
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
  Pass pass;
  DataType type;
  PairMask mask;
  Index queries;
  Index keys;
  int heads;
  int key_heads;
  float scale;
  int dim;
  int value_dim;
  std::vector<Index> strides;  ///< of rows and heads
  bool in_order;

  PairShape(Pass of, const Pair& pair, const std::vector<InputRows>& inputs,
            const std::vector<OutputRows>& outputs, bool has_order)
      : pass(of),
        type(pair.type),
        mask(pair.mask),
        queries(pair.queries),
        keys(pair.keys),
        heads(pair.heads),
        key_heads(pair.key_heads),
        scale(pair.scale),
        dim(pair.q.dim),
        value_dim(pair.v.dim),
        in_order(has_order) {
    for (const auto& rows : inputs) {
      strides.insert(strides.end(), {rows.row_stride, rows.head_stride});
    }
    for (const auto& rows : outputs) strides.push_back(rows.row_stride);
  }

  friend auto operator<=>(const PairShape&, const PairShape&) = default;
};

PairShape shape_of(const Pair& pair) {
  return {Pass::forward, pair, {pair.q, pair.k, pair.v}, {}, true};
}

PairShape shape_of(const Pair& pair, const PairGradients& gradients) {
  return {Pass::backward,
          pair,
          {pair.q, pair.k, pair.v, gradients.out, gradients.dout},
          {gradients.dq, gradients.dk, gradients.dv},
          gradients.in_order};
}

/// The names of tensors in a graph.
enum Uid : std::int64_t {
  uid_q = 1,
  uid_k,
  uid_v,
  uid_out,
  uid_lse,
  uid_dout,
  uid_dq,
  uid_dk,
  uid_dv
};
using Tensors = std::unordered_map<std::int64_t, void*>;

/// A graph that is ready to run, and the memory that it asks for.
struct PairGraph {
  std::unique_ptr<fe::graph::Graph> graph;
  std::size_t workspace_bytes;
};

/// A tensor (1, heads, rows, dim), as cuDNN orders it.
fe::graph::Tensor_attributes tensor(const char* name, Uid uid, Index heads, Index rows,
                                    const InputRows& strides) {
  return fe::graph::Tensor_attributes()
      .set_name(name)
      .set_uid(uid)
      .set_dim({1, heads, rows, strides.dim})
      .set_stride({rows * strides.row_stride, strides.head_stride, strides.row_stride, 1});
}

/// Makes an output of a graph such a tensor.
void set_output(fe::graph::Tensor_attributes& output, Uid uid, Index heads, Index rows,
                const OutputRows& strides) {
  output.set_output(true)
      .set_uid(uid)
      .set_dim({1, heads, rows, strides.dim})
      .set_stride({rows * strides.row_stride, strides.dim, strides.row_stride, 1});
}

/// lse (heads, rows) as a tensor, and as an output.
fe::graph::Tensor_attributes& set_lse(fe::graph::Tensor_attributes& lse, const Pair& pair) {
  return lse.set_uid(uid_lse)
      .set_data_type(fe::DataType_t::FLOAT)
      .set_dim({1, pair.heads, pair.queries, 1})
      .set_stride({pair.heads * pair.queries, pair.queries, 1, 1});
}

/// What forward and backward passes say in the same way.
template <class Attributes>
Attributes attributes_of(const Pair& pair) {
  Attributes attributes;
  attributes.set_name("attention").set_attn_scale(pair.scale);
  if (pair.mask == PairMask::causal) {
    attributes.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
  }
  return attributes;
}

/// A graph with the queries, keys and values of a pair, for a GPU of this compute capability,
/// 10 major + minor.
class GraphOfPair {
 public:
  GraphOfPair(const Pair& pair, int compute_capability) : pair_(pair) {
    graph_
        ->set_io_data_type(pair.type == DataType::bfloat16 ? fe::DataType_t::BFLOAT16
                                                           : fe::DataType_t::HALF)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT)
        // Known, so that the frontend need not load a CUDA runtime of its own to ask for it.
        .set_sm_version(compute_capability);
    q_ = graph_->tensor(tensor("q", uid_q, pair.heads, pair.queries, pair.q));
    k_ = graph_->tensor(tensor("k", uid_k, pair.key_heads, pair.keys, pair.k));
    v_ = graph_->tensor(tensor("v", uid_v, pair.key_heads, pair.keys, pair.v));
  }

  /// With its attention.
  std::unique_ptr<fe::graph::Graph> forward() && {
    const auto [out, lse] = graph_->sdpa(
        q_, k_, v_, attributes_of<fe::graph::SDPA_attributes>(pair_).set_generate_stats(true));
    set_output(*out, uid_out, pair_.heads, pair_.queries, dense_outputs(pair_));
    set_lse(*lse, pair_).set_output(true);
    return std::move(graph_);
  }

  /// With its gradients.
  std::unique_ptr<fe::graph::Graph> backward(const PairGradients& gradients) && {
    const auto of_queries = [&](const char* name, Uid uid, const InputRows& rows) {
      return graph_->tensor(tensor(name, uid, pair_.heads, pair_.queries, rows));
    };
    const auto out = of_queries("out", uid_out, gradients.out);
    const auto dout = of_queries("dout", uid_dout, gradients.dout);
    fe::graph::Tensor_attributes lse;
    const auto [dq, dk, dv] = graph_->sdpa_backward(
        q_, k_, v_, out, dout, graph_->tensor(set_lse(lse, pair_).set_name("lse")),
        attributes_of<fe::graph::SDPA_backward_attributes>(pair_).set_deterministic_algorithm(
            gradients.in_order));
    set_output(*dq, uid_dq, pair_.heads, pair_.queries, gradients.dq);
    set_output(*dk, uid_dk, pair_.key_heads, pair_.keys, gradients.dk);
    set_output(*dv, uid_dv, pair_.key_heads, pair_.keys, gradients.dv);
    return std::move(graph_);
  }

 private:
  static OutputRows dense_outputs(const Pair& pair) {
    return {nullptr, Index{pair.heads} * pair.v.dim, pair.v.dim};
  }

  const Pair& pair_;
  std::unique_ptr<fe::graph::Graph> graph_ = std::make_unique<fe::graph::Graph>();
  std::shared_ptr<fe::graph::Tensor_attributes> q_;
  std::shared_ptr<fe::graph::Tensor_attributes> k_;
  std::shared_ptr<fe::graph::Tensor_attributes> v_;
};

PairGraph build(std::unique_ptr<fe::graph::Graph> graph, cudnnHandle_t handle) {
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

  /// The graph of a shape, which `make` makes where there is none yet: called with the compute
  /// capability.
  template <class Make>
  [[nodiscard]] const PairGraph& graph(const PairShape& shape, Stream& stream, const Make& make) {
    const auto at = graphs_.find(shape);
    if (at != graphs_.end()) return at->second;
    if (graphs_.size() == most_graphs) {
      stream.synchronize();  // their kernels are loaded until they have run
      graphs_.clear();
    }
    return graphs_.emplace(shape, build(make(compute_capability_), handle_)).first->second;
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

  void forward(const Pair& pair, const PairOutputs& outputs) override {
    execute(
        session_->graph(shape_of(pair), *stream_,
                        [&](int capability) { return GraphOfPair(pair, capability).forward(); }),
        {{uid_q, const_cast<void*>(pair.q.data)},
         {uid_k, const_cast<void*>(pair.k.data)},
         {uid_v, const_cast<void*>(pair.v.data)},
         {uid_out, outputs.out},
         {uid_lse, outputs.lse}});
  }

  void backward(const Pair& pair, const PairGradients& gradients) override {
    const auto some = [&](int first, int count) {
      return std::pair(heads_of(pair, first, count), heads_of(gradients, pair, first));
    };
    int at_once = pair.key_heads;
    while (at_once > 1 && graph(some(0, at_once)).workspace_bytes > most_workspace_bytes) {
      at_once = (at_once + 1) / 2;
    }
    for (int first = 0; first < pair.key_heads; first += at_once) {
      const auto heads = some(first, std::min(at_once, pair.key_heads - first));
      const auto& [of, to] = heads;
      execute(graph(heads), {{uid_q, const_cast<void*>(of.q.data)},
                             {uid_k, const_cast<void*>(of.k.data)},
                             {uid_v, const_cast<void*>(of.v.data)},
                             {uid_out, const_cast<void*>(to.out.data)},
                             {uid_dout, const_cast<void*>(to.dout.data)},
                             {uid_lse, const_cast<float*>(to.lse)},
                             {uid_dq, to.dq.data},
                             {uid_dk, to.dk.data},
                             {uid_dv, to.dv.data}});
    }
  }

 private:
  /// On GPUs before compute capability 10.0, gradients with the same bits every time take 2 bytes
  /// for each query head, query and key. So they are made for some heads after the others.
  static constexpr std::size_t most_workspace_bytes = std::size_t{4} << 30;

  [[nodiscard]] const PairGraph& graph(const std::pair<Pair, PairGradients>& of) {
    return session_->graph(shape_of(of.first, of.second), *stream_, [&](int capability) {
      return GraphOfPair(of.first, capability).backward(of.second);
    });
  }

  void execute(const PairGraph& graph, Tensors tensors) {
    static_cast<void>(stream_->handle());
    const device::Buffer workspace(stream_, graph.workspace_bytes);
    auto error = graph.graph->execute(session_->handle(), tensors, workspace.data());
    if (error.is_bad()) throw Error(fmt::format("cuDNN failed: {}", error.get_message()));
  }

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

std::string refusal_of(const Pair& pair, int compute_capability) {
  return text_of(GraphOfPair(pair, compute_capability).forward()->validate());
}

std::string refusal_of(const Pair& pair, const PairGradients& gradients, int compute_capability) {
  return text_of(GraphOfPair(pair, compute_capability).backward(gradients)->validate());
}

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
