#include "results/replacement.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace annulus::results {
namespace {

namespace fs = std::filesystem;

std::string subject_of(const std::string& path, std::string_view option = "--output") {
  return fmt::format("{} {}", option, path);
}

/// The path behind the links that its last component is.
fs::path behind_links(const std::string& path, const std::string& subject) {
  constexpr int most = 40;  // as the operating system has it
  std::error_code ignored;
  auto target = fs::absolute(path, ignored);
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, ignored)); ++links) {
    if (links == most) {
      throw InputError(fmt::format("{}: a link that leads nowhere; expected a file name", subject));
    }
    target = target.parent_path() / fs::read_symlink(target, ignored);
  }
  return target;
}

void sync_folder(const fs::path& target, const std::string& subject) {
  const PosixFile folder(target.parent_path(), O_RDONLY | O_DIRECTORY, subject);
  if (!folder.is_open()) throw folder.failure("opened");
  folder.sync_names();
}

}  // namespace

fs::path output_target(const std::string& path, std::string_view option) {
  const auto subject = subject_of(path, option);
  auto target = behind_links(path, subject);
  std::error_code code;
  const auto status = fs::status(target, code);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw InputError(fmt::format("{}: not a regular file; expected a file name", subject));
  }
  if (path.empty() || !fs::is_directory(target.parent_path(), code)) {
    throw InputError(
        fmt::format("{}: there is no folder {}; expected a file in a folder that exists", subject,
                    target.parent_path().string()));
  }
  const auto bytes = static_cast<long>(target.filename().native().size());
  const long most = ::pathconf(target.parent_path().c_str(), _PC_NAME_MAX);
  if (most > 0 && bytes > most) {
    throw InputError(fmt::format("{}: a name of {} bytes; expected at most {} in that folder",
                                 subject, bytes, most));
  }
  return target;
}

PosixFile claim_output(const std::string& path, const fs::path& target) {
  for (;;) {
    PosixFile file(target, O_RDWR, subject_of(path));
    if (!file.is_open()) return file;
    if (file.claim() == Claim::refused) {
      throw InputError(
          fmt::format("{}: another run is writing it; expected a file that no run is at work on",
                      subject_of(path)));
    }
    // Whoever had claimed it may have replaced it a moment ago.
    if (file.is_at(target)) return file;
  }
}

Replacement::Replacement(const std::string& path, std::string_view option)
    : subject_(subject_of(path, option)), target_(output_target(path, option)) {
  for (;;) {
    name_.emplace(target_);
    file_ = PosixFile(temporary(), O_CREAT | O_EXCL | O_RDWR, subject_);
    if (!file_.is_open()) {
      const int cause = errno;
      name_->forget();
      if (cause == EEXIST) continue;
      const auto message = fmt::format("{}: cannot be written: {}", subject_, std::strerror(cause));
      if (cause == ENOSPC || cause == EDQUOT) throw Error(message);
      throw InputError(message);
    }
    // Between opening and claiming, another run may have taken it for a leftover.
    if (file_.claim() != Claim::refused && file_.is_at(temporary())) return;
  }
}

const fs::path& Replacement::place() const {
  return committed() ? target_ : temporary();
}

void Replacement::commit(bool replace) {
  file_.sync();
  std::error_code code;
  // A link is made only where there is nothing yet; where links are not to be had, look and rename.
  if (!replace && ::link(temporary().c_str(), target_.c_str()) == 0) {
    name_.reset();
  } else if (!replace && fs::exists(target_, code)) {
    throw InputError(
        fmt::format("{}: the file has appeared during the run; pass --overwrite", subject_));
  } else {
    fs::rename(temporary(), target_, code);
    if (code) {
      throw Error(fmt::format("{}: {} cannot be renamed: {}", subject_, temporary().string(),
                              code.message()));
    }
    name_->forget();
    name_.reset();
  }
  sync_folder(target_, subject_);
}

void remove_leftovers(const std::string& path) {
  const auto target = output_target(path);
  const auto prefix = partial_prefix(target);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(target.parent_path(), ignored)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    const PosixFile file(entry.path(), O_RDWR, subject_of(path));
    if (file.is_open() && file.claim() == Claim::granted) fs::remove(entry.path(), ignored);
  }
}

}  // namespace annulus::results
