// The ranks that the launcher started.

#include "annulus/comm/mpi.hpp"
#include "results/attention_world.hpp"
#include "results/h5/access.hpp"
#include "results/h5/array.hpp"

namespace annulus::results {
namespace {

const comm::World mpi_world{"mpi", [](const comm::World::Body& body) {
                              comm::MpiCommunicator communicator(MPI_COMM_WORLD);
                              body(communicator);
                            }};

/// Every rank writes its number: collectively where the properties of `access` are used.
void write_ranks(comm::Communicator& communicator, bool collectively) {
  const SharedScratch scratch(communicator);
  const h5::Access access(communicator);
  EXPECT_EQ(access.collective(), communicator.size() > 1);
  const auto path = scratch / "ranks.h5";
  const auto file_access = access.file_access();
  const auto file = h5::own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, file_access.get()),
                            H5Fclose, "H5Fcreate", path);
  const auto ranks = static_cast<hsize_t>(communicator.size());
  const auto rank = static_cast<hsize_t>(communicator.rank());
  const auto dataset = h5::create_dataset(file.get(), "ranks", H5T_NATIVE_DOUBLE, {&ranks, 1});
  const auto space = h5::select(dataset, {{rank}, {1}, {1}}, "ranks");
  const hsize_t one = 1;
  const auto memory = h5::own(H5Screate_simple(1, &one, nullptr), H5Sclose, "H5Screate", "ranks");
  const auto properties =
      collectively ? access.transfer()
                   : h5::own(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "H5Pcreate", "ranks");
  const double value = communicator.rank();
  h5::check(H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, memory.get(), space.get(), properties.get(),
                     &value),
            "H5Dwrite", "ranks");
  if (collectively || communicator.size() == 1) {
    EXPECT_NO_THROW(access.check_transfer(properties, "ranks"));
  } else {
    EXPECT_THROW(access.check_transfer(properties, "ranks"), Error);
  }
}

TEST(MpiAccess, KnowsCollectiveTransfersFromOthers) {
  mpi_world.run([](comm::Communicator& communicator) {
    write_ranks(communicator, true);
    write_ranks(communicator, false);
  });
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Launched, AttentionFiles, testing::Values(mpi_world), name_of_world);

}  // namespace annulus::results
