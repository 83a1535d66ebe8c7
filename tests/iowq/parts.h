// SPDX-License-Identifier: Apache-2.0
// parts: the parts of an identity, each in two shapes, and how a thread sees which of them it has.
//
// What is seen comes from the kernel, by what the part is good for where there is such a thing: an owner of a file, a
// name that is there, the mode of a file. A part is made before the test forks, and its shapes are then there.
#pragma once

#include <wring/identity.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace wring::test {

class part {
 public:
  part() = default;
  part(const part&) = delete;
  part& operator=(const part&) = delete;
  virtual ~part() = default;

  // What stands in the way on this machine; empty: nothing.
  [[nodiscard]] virtual std::string obstacle() const { return {}; }
  // In the child, before it has threads.
  virtual void begin() {}
  // `shape`: 0 or 1.
  virtual identity make(int shape) = 0;
  // What a thread that has the shape sees.
  virtual std::string expected(int shape) = 0;
  // What the calling thread sees.
  virtual std::string seen() = 0;
};

struct part_kind {
  const char* name;
  bool needs_root;
  std::unique_ptr<part> (*make)();
  std::vector<long> ways_back;  // system calls: without each of them nobody comes back from shape 0
};
// All of them.
const std::vector<part_kind>& part_kinds();
// Of that name.
const part_kind& kind_named(const std::string& name);

}  // namespace wring::test
