#include "verify/outputs.hpp"

#include "annulus/base/tensor.hpp"

namespace annulus::verify {

bool has_statistics(Checked what) {
  return what == Checked::forward || what == Checked::backward || what == Checked::decode;
}

bool has_gradients(Checked what) {
  return what == Checked::backward || what == Checked::backward_without_statistics;
}

std::vector<OutputKind> output_kinds(const Problem& problem, Checked what) {
  const Index heads = problem.query_heads;
  std::vector<OutputKind> kinds{{"out", RowsOf::queries, heads, problem.output_dim()},
                                {"lse", RowsOf::queries, heads, 1}};
  if (has_statistics(what)) {
    for (const auto& statistic : row_statistics()) {
      kinds.push_back({statistic.name, RowsOf::queries, heads, 1});
    }
  }
  if (!has_gradients(what)) return kinds;
  kinds.push_back({"dq", RowsOf::queries, heads, problem.head_dim});
  kinds.push_back({"dk", RowsOf::keys, problem.key_heads, problem.head_dim});
  kinds.push_back({"dv", RowsOf::keys, problem.key_heads, problem.output_dim()});
  kinds.push_back({"dgain", RowsOf::parameters, heads, 1});
  return kinds;
}

Outputs::Outputs(const Problem& problem, Checked what)
    : kinds(output_kinds(problem, what)),
      numbers(kinds.size()),
      with_statistics_(has_statistics(what)) {}

Outputs Outputs::whole(const Problem& problem, Checked what) {
  Outputs all(problem, what);
  for (std::size_t i = 0; i < all.kinds.size(); ++i) {
    const Index rows = all.kinds[i].rows == RowsOf::queries ? problem.documents.queries()
                       : all.kinds[i].rows == RowsOf::keys  ? problem.documents.keys()
                                                            : 1;
    all.numbers[i].resize(static_cast<std::size_t>(rows * all.kinds[i].width()));
  }
  return all;
}

void Outputs::append(ConstTensorView out, ConstTensorView lse, const StatisticsView& of_rows) {
  const auto append_to = [&](std::size_t which, ConstTensorView rows) {
    const auto more = numbers_of(rows);
    numbers[which].insert(numbers[which].end(), more.begin(), more.end());
  };
  append_to(0, out);
  append_to(1, lse);
  for (std::size_t s = 0; with_statistics_ && s < row_statistics().size(); ++s) {
    append_to(first_statistic + s, of_rows.at(s));
  }
}

StatisticsView Outputs::statistics() {
  StatisticsView all;
  for (std::size_t s = 0; with_statistics_ && s < row_statistics().size(); ++s) {
    all.views.push_back(view(first_statistic + s));
  }
  return all;
}

kernels::WholeGradients Outputs::gradients() {
  const std::size_t first = first_gradient();
  return {
      .dq = view(first), .dk = view(first + 1), .dv = view(first + 2), .dgain = numbers[first + 3]};
}

TensorView Outputs::view(std::size_t which) {
  const auto& kind = kinds[which];
  const Index rows = std::ssize(numbers[which]) / kind.width();
  return dense_view(numbers[which].data(), rows, kind.heads, kind.dim);
}

}  // namespace annulus::verify
