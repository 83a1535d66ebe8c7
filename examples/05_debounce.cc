// SPDX-License-Identifier: Apache-2.0
// 05_debounce: many changes, one save. Each change puts the save off; closing does what is due at once.
//
// modify() sets the delay whether the item is pending or not, so nobody keeps a flag "a save is planned". flush() of
// a delayed item cuts its delay short and waits for the run.
#include <wring/wring.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>

namespace {

// [class]
class document {
 public:
  explicit document(wring::workqueue& queue) : queue_{queue} {}

  void type(char letter) {
    {
      const std::lock_guard lock{mu_};
      text_ += letter;
    }
    queue_.modify(save_, std::chrono::hours{1});  // an hour after the last letter
  }

  void close() { save_.flush(); }  // now, if a save is due
  // [/class]

  [[nodiscard]] int saves() const { return saves_; }
  [[nodiscard]] const std::string& saved() const { return saved_; }

 private:
  // [save]
  void save() {  // by one worker at a time, so what only it touches needs no lock
    const std::lock_guard lock{mu_};
    saved_ = text_;
    ++saves_;
  }
  wring::workqueue& queue_;
  std::mutex mu_;
  std::string text_, saved_;
  int saves_ = 0;
  wring::delayed_work save_{[this] { save(); }};  // last: everything above outlives it
};
// [/save]

}  // namespace

int main() {
  wring::workqueue queue{{.name = "documents"}};
  document letter{queue};
  for (const char c : std::string{"Dear Sir or Madam"}) letter.type(c);
  letter.close();
  std::printf("saved %d time: %s\n", letter.saves(), letter.saved().c_str());
  return letter.saves() == 1 && letter.saved() == "Dear Sir or Madam" ? 0 : 1;
}
