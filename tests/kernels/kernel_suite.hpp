#pragma once
// The cases that the kernels of every backend have to pass, and what a backend brings to them.
// shape_cases.cpp has those of both passes, forward_cases.cpp, merge_cases.cpp and
// backward_cases.cpp those of one.

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/plan/pass.hpp"
#include "kernels/kernel_run.hpp"
#include "support/expect_close.hpp"

namespace annulus::test {

/// A backend, and where its code changes: cases are made of that.
struct KernelUnderTest {
  std::string name;
  /// The kernel, for the length of a test.
  std::function<std::shared_ptr<const kernels::Kernel>()> open;
  std::vector<DataType> types;
  std::vector<DataType> types_of_many;  ///< of cases with many runs
  std::vector<Index> head_dims;
  std::vector<Index> value_dims;
  std::vector<Index> lengths;  ///< around tiles

  friend std::ostream& operator<<(std::ostream& out, const KernelUnderTest& kernel) {
    return out << kernel.name;
  }
};

/// A pass of it.
struct PassUnderTest {
  KernelUnderTest kernel;
  Pass pass;

  friend std::ostream& operator<<(std::ostream& out, const PassUnderTest& test) {
    return out << test.kernel.name << '_' << name_of(test.pass);
  }
};

[[nodiscard]] inline std::vector<PassUnderTest> both_passes(
    const std::vector<KernelUnderTest>& kernels) {
  std::vector<PassUnderTest> passes;
  for (const auto& kernel : kernels) {
    for (const auto pass : {Pass::forward, Pass::backward}) passes.push_back({kernel, pass});
  }
  return passes;
}

template <class Test>
[[nodiscard]] std::string name_of_test(const testing::TestParamInfo<Test>& test) {
  return testing::PrintToString(test.param);
}

inline const std::vector<KernelRun> in_one_and_three_shards{
    {}, {.sharding = Sharding::striped, .shards = 3, .reversed = true}};

/// Every sharding into each of so many shards, in one order of keys or the other.
inline std::vector<KernelRun> in_shards(const std::vector<int>& counts) {
  std::vector<KernelRun> runs;
  for (const auto sharding : all_shardings()) {
    for (const int shards : counts) {
      runs.push_back({.sharding = sharding, .shards = shards, .reversed = runs.size() % 2 == 1});
    }
  }
  return runs;
}

/// Holds a kernel and compares what it computes with the definition.
class KernelChecks {
 protected:
  explicit KernelChecks(const KernelUnderTest& under_test)
      : types_(under_test.types), kernel_(under_test.open()) {}

  [[nodiscard]] const kernels::Kernel& kernel() const { return *kernel_; }

  /// Calls body.operator()<T>() for every type, of the backend where nothing else is said.
  template <class Body>
  static void for_each_type(const std::vector<DataType>& types, Body body) {
    for (const auto type : types) with_element(type, body);
  }
  template <class Body>
  void for_each_type(Body body) const {
    for_each_type(types_, body);
  }
  /// For those of 16 bits that the backend rounds weights to.
  template <class Body>
  void for_each_rounded_type(Body body) const {
    for_each_type([&]<class T>() {
      if constexpr (sizeof(T) == 2) {
        if (kernel().factor_type(data_type_of<T>) == data_type_of<T>) body.template operator()<T>();
      }
    });
  }
  template <class T>
  [[nodiscard]] static unsigned seed() {
    return 11 + static_cast<unsigned>(data_type_of<T>);
  }

  template <class T>
  void expect_outputs(WholeProblem<T> whole, const std::vector<KernelRun>& runs = {{}},
                      Sharpness sharpness = Sharpness::tenth) const {
    const auto expected = direct(whole);
    const auto bounds = bounds_of(whole, kernel());
    for (const auto& run : runs) {
      SCOPED_TRACE(words(whole, run));
      const auto got = attend_by(kernel(), whole, run);
      if (run.statistics) {
        expect_close(got, expected, bounds, sharpness);
        continue;
      }
      expect_close("out", got.out.values, expected.out.values, bounds.out.values, sharpness);
      expect_close("lse", got.lse.values, expected.lse.values, bounds.lse.values, sharpness);
    }
  }

  /// In every type, with standard normal inputs.
  void expect_outputs(const Problem& problem, const std::vector<KernelRun>& runs = {{}}) const {
    for_each_type([&]<class T>() { expect_outputs(random_problem<T>(problem, seed<T>()), runs); });
  }

  template <class T>
  void expect_gradients(const WholeProblem<T>& whole, const std::vector<KernelRun>& runs = {{}},
                        Sharpness sharpness = Sharpness::tenth) const {
    const auto dout = random_dout<T>(whole.problem);
    const auto expected = direct_gradients_of(whole, dout);
    const auto roundings = kernels::Roundings::of(kernel(), data_type_of<T>);
    const auto bounds = gradient_bounds_of(whole, dout, roundings);
    for (auto run : runs) {
      SCOPED_TRACE(words(whole, run));
      run.statistics = false;
      expect_close(gradients_by(kernel(), whole, dout, run), expected, bounds, sharpness,
                   sharpness == Sharpness::any ? sharpness : sharpness_of_parameters(roundings));
    }
  }

 private:
  /// What a run is.
  template <class T>
  [[nodiscard]] static std::string words(const WholeProblem<T>& whole, const KernelRun& run) {
    const auto& problem = whole.problem;
    return std::string(name_of(data_type_of<T>)) + ", d = " + std::to_string(problem.head_dim) +
           ", n = " + std::to_string(problem.documents.keys()) + ", " + problem.mask.name() + ", " +
           std::to_string(run.shards) + " " + std::string(name_of(run.sharding)) + " shards";
  }

  std::vector<DataType> types_;
  std::shared_ptr<const kernels::Kernel> kernel_;
};

class ForwardKernel : public testing::TestWithParam<KernelUnderTest>, protected KernelChecks {
 protected:
  ForwardKernel() : KernelChecks(GetParam()) {}
};

class BackwardKernel : public testing::TestWithParam<KernelUnderTest>, protected KernelChecks {
 protected:
  BackwardKernel() : KernelChecks(GetParam()) {}
};

/// Cases of both passes.
class EitherPass : public testing::TestWithParam<PassUnderTest>, protected KernelChecks {
 protected:
  EitherPass() : KernelChecks(GetParam().kernel) {}

  /// Outputs and statistics, or gradients.
  template <class T>
  void expect_exact(const WholeProblem<T>& whole, const std::vector<KernelRun>& runs = {{}}) const {
    if (GetParam().pass == Pass::forward) {
      expect_outputs(whole, runs);
    } else {
      expect_gradients(whole, runs);
    }
  }

  /// In every type, with standard normal inputs.
  void expect_exact(const Problem& problem, const std::vector<KernelRun>& runs = {{}}) const {
    for_each_type([&]<class T>() { expect_exact(random_problem<T>(problem, seed<T>()), runs); });
  }
};

}  // namespace annulus::test
