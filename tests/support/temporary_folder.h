// SPDX-License-Identifier: Apache-2.0
// temporary_folder: a folder that is gone, with all that is in it, at the end of the test.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace wring::test {

class temporary_folder {
 public:
  temporary_folder() {
    std::string name = std::filesystem::temp_directory_path() / "wring-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no folder " << name;
    path_ = name;
  }
  temporary_folder(temporary_folder&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  temporary_folder& operator=(temporary_folder&&) = delete;
  ~temporary_folder() {
    if (path_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string path(const std::string& below) const { return path_ / below; }
  // Creates the file, and the folders on the way to it.
  void write(const std::string& below, const std::string& text) const {
    std::filesystem::create_directories((path_ / below).parent_path());
    std::ofstream{path_ / below, std::ios::binary} << text;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace wring::test
