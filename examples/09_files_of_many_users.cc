// SPDX-License-Identifier: Apache-2.0
// 09_files_of_many_users: a file service. Each request runs as the user who made it, and those of one file in order.
//
// Files end in limited time, so these items are bounded. A read of a pipe may last for ever: it is unbounded, and is
// cancelled while it waits. Who may not act for others, as most programs, goes on as itself, and says so.
#include <wring/wring.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <semaphore>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

std::string error_text() { return std::generic_category().message(errno); }

struct user {
  std::string name;
  uid_t id;
  wring::identity who = {};  // none: the process itself
};

struct document {
  int folder;
  std::string name;
};

// [service]
class file_service {
 public:
  // Empty: it is done; else why not.
  wring::future<std::string> append(const user& by, const document& to, std::string text) {
    return pool_.submit_for_result({.key = &to, .as = by.who}, [&to, text](wring::io_call& call) -> std::string {
      const int fd = ::openat(to.folder, to.name.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);  // what `by` may open
      if (fd < 0) return error_text();
      const ssize_t written = call.write(fd, text.data(), text.size());
      ::close(fd);
      return written == static_cast<ssize_t>(text.size()) ? "" : "not written";
    });
  }

  wring::future<std::string> read(const user& by, const document& from) {
    return pool_.submit_for_result({.key = &from, .as = by.who}, [&from](wring::io_call& call) -> std::string {
      const int fd = ::openat(from.folder, from.name.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) return error_text();
      std::array<char, 4096> text{};
      const ssize_t bytes = call.pread(fd, text.data(), text.size(), 0);
      ::close(fd);
      return bytes >= 0 ? std::string{text.data(), static_cast<std::size_t>(bytes)} : "not read";
    });
  }

  wring::io_pool& pool() { return pool_; }

 private:
  wring::io_pool pool_{{.name = "files"}};
};
// [/service]

// [who]
// Whether requests can run as their users. It is found out before the first one comes.
bool may_act_for_others() { return wring::identity::supported(wring::identity_part::file_credentials); }

wring::identity identity_of(uid_t id) { return wring::identity::make({.user = id, .group = id}).value(); }
// [/who]

// A file that belongs to `owner` alone. False: it stays the process's.
bool make_document(const document& d, const user& owner) {
  const int fd = ::openat(d.folder, d.name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const bool given_away = ::fchown(fd, owner.id, owner.id) == 0;
  ::close(fd);
  return given_away;
}

// A request that waits for bytes which never come.
bool cancels_a_read(wring::io_pool& pool) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return false;
  // [cancel]
  std::binary_semaphore entered{0};
  auto answer = pool.submit_for_result({.unbounded = true, .tag = &entered}, [&](wring::io_call& call) {
    entered.release();
    char byte = 0;
    return call.read(pipe[0], &byte, 1);  // nobody writes
  });
  entered.acquire();
  const bool told = pool.cancel_tagged(&entered) == wring::io_cancel::running;
  const bool over = answer.get() == -ECANCELED;
  // [/cancel]
  for (const int fd : pipe) ::close(fd);
  return told && over;
}

bool expect(const char* what, const std::string& answer, std::string_view expected) {
  std::printf("%-28s %s\n", what, answer.empty() ? "done" : answer.c_str());
  return answer == expected;
}

}  // namespace

int main() {
  std::string path = std::filesystem::temp_directory_path() / "wring-example-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr || ::chmod(path.c_str(), 0711) != 0) return 1;
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  user ann{.name = "ann", .id = 61'001};
  user bob{.name = "bob", .id = 61'002};
  const document diary{folder, "diary"};
  const document letters{folder, "letters"};

  bool for_others = may_act_for_others();
  for (const auto& [file, owner] : {std::pair{&diary, &ann}, std::pair{&letters, &bob}}) {
    for_others = make_document(*file, *owner) && for_others;
  }
  if (for_others) {
    for (user* u : {&ann, &bob}) u->who = identity_of(u->id);
    std::printf("requests run as %s and %s\n", ann.who.describe().c_str(), bob.who.describe().c_str());
  } else {
    std::puts("this process may not act for others: requests run as itself");
  }

  bool right = true;
  {
    file_service service;
    // Nobody waits in between: the key of the file keeps the order.
    auto first = service.append(ann, diary, "rain, ");
    auto second = service.append(ann, diary, "then sun");
    auto diary_of_ann = service.read(ann, diary);
    auto letters_of_bob = service.append(bob, letters, "Dear Ann");
    right &= expect("ann writes her diary:", first.get() + second.get(), "");
    right &= expect("ann reads her diary:", diary_of_ann.get(), "rain, then sun");
    right &= expect("bob writes a letter:", letters_of_bob.get(), "");
    if (for_others) right &= expect("bob reads ann's diary:", service.read(bob, diary).get(), "Permission denied");
    const bool cancelled = cancels_a_read(service.pool());
    right &= expect("a read that waits for ever:", cancelled ? "cancelled" : "NOT cancelled", "cancelled");
  }  // here the pool ends, and with it all of its threads

  ::close(folder);
  std::filesystem::remove_all(path);
  return right ? 0 : 1;
}
