// SPDX-License-Identifier: Apache-2.0
// 06_ordered_per_key: what concerns one key happens in order and one at a time; different keys go in parallel.
//
// Each account has an ordered queue of its own. A queue owns no thread, so thousands of them are fine, and the
// data of an account needs no lock.
#include <wring/wring.h>

#include <cstdio>
#include <deque>
#include <string>
#include <vector>

namespace {

// [class]
class account {
 public:
  explicit account(const std::string& name) : queue_{{.name = name, .ordered = true}} {}

  // From any thread. Transactions take effect in the order of these calls.
  void post(int amount) {
    queue_.submit([this, amount] {
      balance_ += amount;  // no lock: an ordered queue runs one item at a time
      history_.push_back(amount);
    });
  }

  // Waits for what was posted before, then reads. What a flush waited for is visible to its caller.
  std::vector<int> history() {
    queue_.flush();
    return history_;
  }

 private:
  int balance_ = 0;
  std::vector<int> history_;
  wring::workqueue queue_;  // last: it is drained before the data goes away
};
// [/class]

}  // namespace

int main() {
  std::deque<account> accounts;
  for (int i = 0; i < 100; ++i) accounts.emplace_back("account" + std::to_string(i));

  std::vector<int> posted;
  for (int amount = 1; amount <= 200; ++amount) {
    posted.push_back(amount);
    for (account& a : accounts) a.post(amount);
  }
  int wrong = 0;
  for (account& a : accounts) wrong += a.history() == posted ? 0 : 1;
  std::printf("%zu accounts, %d out of order\n", accounts.size(), wrong);
  return wrong == 0 ? 0 : 1;
}
