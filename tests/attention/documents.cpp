#include "annulus/attention/documents.hpp"

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Documents, SingleIsOneDocument) {
  const auto documents = Documents::single(7);
  EXPECT_EQ(documents.count(), 1);
  EXPECT_EQ(documents.queries(), 7);
  EXPECT_TRUE(documents.self_attention());
  EXPECT_EQ(documents.alignment(0), 0);
}

TEST(Documents, LastQueryStandsWhereTheLastKeyStands) {
  const auto decode = Documents::single(1, 100);
  EXPECT_EQ(decode.alignment(0), 99);
  EXPECT_FALSE(decode.self_attention());
  const auto more_queries = Documents::single(5, 3);
  EXPECT_EQ(more_queries.alignment(0), -2);
}

TEST(Documents, BatchIsDocumentsOfEqualLength) {
  EXPECT_THAT(Documents::batch(3, 2, 5).query_offsets(), ElementsAre(0, 2, 4, 6));
  EXPECT_THAT(Documents::batch(3, 2, 5).key_offsets(), ElementsAre(0, 5, 10, 15));
}

TEST(Documents, PackedMayHoldEmptyDocuments) {
  const auto documents = Documents::packed({0, 3, 3, 10});
  EXPECT_EQ(documents.count(), 3);
  EXPECT_EQ(documents.query_length(1), 0);
  EXPECT_EQ(documents.key_length(2), 7);
}

TEST(Documents, BadOffsetsAreNamed) {
  EXPECT_THAT(message_of([] { (void)Documents::packed({0}); }), HasSubstr("cu_seqlens has 1"));
  EXPECT_THAT(message_of([] { (void)Documents::packed({1, 2}); }), HasSubstr("cu_seqlens[0] is 1"));
  EXPECT_THAT(message_of([] {
                (void)Documents::packed({0, 5, 4});
              }),
              HasSubstr("cu_seqlens[2] is 4, less than 5"));
  EXPECT_THAT(message_of([] {
                (void)Documents::packed({0, 5}, {0, 5, 4});
              }),
              HasSubstr("cu_seqlens_k[2]"));
  EXPECT_THAT(message_of([] {
                (void)Documents::packed({0, 5}, {0, 4, 5});
              }),
              HasSubstr("as many documents of queries as of keys"));
}

TEST(Documents, BadBatchesAreRefused) {
  constexpr Index large = Index{1} << 40;
  EXPECT_THAT(message_of([] { (void)Documents::batch(0, 1, 1); }),
              HasSubstr("a batch of 0 documents; expected 1 to 16777216"));
  EXPECT_THAT(message_of([] { (void)Documents::batch(large, 0, 0); }),
              HasSubstr("1099511627776 documents; expected 1 to 16777216"));
  EXPECT_THAT(message_of([] { (void)Documents::batch(1, -1, 0); }), HasSubstr("-1 rows"));
  EXPECT_THAT(message_of([] { (void)Documents::batch(Documents::most, 1, large); }),
              HasSubstr("documents of 1099511627776 rows; expected 0 to 549755813887"));
}

}  // namespace
}  // namespace annulus
