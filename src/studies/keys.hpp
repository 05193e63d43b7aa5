#pragma once
// Keys that several kinds of study share. Those of one kind are in its file.

#include "annulus/studies/theory.hpp"
#include "studies/key.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {

/// What a Problem holds at most, see validate().
inline constexpr Index most_tokens = Index{1} << 31;
inline constexpr Index most_dimension = Index{1} << 24;

namespace keys {
extern const Key<std::vector<Index>> n;
extern const Key<std::vector<double>> rho;
extern const Key<std::vector<double>> gamma;
extern const Key<std::string> tokens;
extern const Key<Index> dimension;   ///< of gaussian tokens
extern const Key<Index> directions;  ///< of clustered tokens
extern const Key<Index> seed;
extern const Key<std::string> precision;
}  // namespace keys

/// What keys::tokens says.
[[nodiscard]] TokenKind token_kind(const StudyConfig& config);

/// The tokens of a config at one length and correlation.
[[nodiscard]] TokenModel token_model(const StudyConfig& config, Index n, double rho);

/// For StudyKind::dimension and numbers of kinds with tokens.
[[nodiscard]] Index token_dimension(const StudyConfig& config, Index n);
[[nodiscard]] double token_numbers(const StudyConfig& config, Index n);

/// The model of their closed forms; of simplex and clustered tokens.
[[nodiscard]] SimplexModel simplex_model(const StudyConfig& config, Index n, double rho,
                                         double gamma);

/// For StudyKind::conflict of kinds with tokens: clustered lengths are multiples of directions.
[[nodiscard]] std::optional<Conflict> token_conflict(const StudyConfig& config);

}  // namespace annulus::studies
