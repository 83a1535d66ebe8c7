// SPDX-License-Identifier: Apache-2.0
// kinds_of_slow_files: waiting for a page, a device, or a name server: no call of it is known to block.
#include "detection/kinds.h"
#include "detection/slow_file.h"
#include "support/gate.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netdb.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace wring::test {
namespace {

std::string failed(const char* call) { return std::string{call} + ": " + std::strerror(errno); }

char first_byte_of(const void* page) { return *static_cast<const volatile char*>(page); }

// A page of memory that is not there until another thread provides it.
class missing_page final : public kind {
 public:
  ~missing_page() override {
    if (page_ != MAP_FAILED) ::munmap(page_, bytes_);
    if (faults_ >= 0) ::close(faults_);
  }

  static std::unique_ptr<kind> make(std::string& why_not) {
    auto made = std::make_unique<missing_page>();
    why_not = made->prepare();
    return why_not.empty() ? std::move(made) : nullptr;
  }

  void wait() override { EXPECT_EQ(first_byte_of(page_), 'x'); }
  void open() override {
    const std::vector<char> contents(bytes_, 'x');
    uffdio_copy copy{};
    copy.dst = reinterpret_cast<std::uintptr_t>(page_);
    copy.src = reinterpret_cast<std::uintptr_t>(contents.data());
    copy.len = bytes_;
    EXPECT_EQ(::ioctl(faults_, UFFDIO_COPY, &copy), 0) << std::strerror(errno);
  }

 private:
  std::string prepare() {
    faults_ = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
    if (faults_ < 0) return failed("userfaultfd");
    uffdio_api api{};
    api.api = UFFD_API;
    if (::ioctl(faults_, UFFDIO_API, &api) != 0) return failed("UFFDIO_API");
    page_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page_ == MAP_FAILED) return failed("mmap");
    uffdio_register range{};
    range.range.start = reinterpret_cast<std::uintptr_t>(page_);
    range.range.len = bytes_;
    range.mode = UFFDIO_REGISTER_MODE_MISSING;
    return ::ioctl(faults_, UFFDIO_REGISTER, &range) == 0 ? "" : failed("UFFDIO_REGISTER");
  }

  const std::size_t bytes_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  int faults_ = -1;
  void* page_ = MAP_FAILED;
};

class kind_of_slow_file : public kind {
 public:
  explicit kind_of_slow_file(std::unique_ptr<slow_file> file) : file_{std::move(file)} {}
  void open() override { file_->let_go(); }

 protected:
  [[nodiscard]] int fd() const { return file_->fd(); }

 private:
  std::unique_ptr<slow_file> file_;
};

class read_of_a_slow_file final : public kind_of_slow_file {
 public:
  using kind_of_slow_file::kind_of_slow_file;
  void wait() override {
    char byte = 'x';
    EXPECT_EQ(::pread(fd(), &byte, 1, 0), 1);
    EXPECT_EQ(byte, '\0');
  }
};

class page_of_a_slow_file final : public kind_of_slow_file {
 public:
  using kind_of_slow_file::kind_of_slow_file;
  void wait() override {
    void* const page = ::mmap(nullptr, slow_file::bytes, PROT_READ, MAP_PRIVATE, fd(), 0);
    ASSERT_NE(page, MAP_FAILED);
    EXPECT_EQ(first_byte_of(page), '\0');
    ::munmap(page, slow_file::bytes);
  }
};

class fsync_of_a_slow_file final : public kind_of_slow_file {
 public:
  using kind_of_slow_file::kind_of_slow_file;
  void wait() override { EXPECT_EQ(::fsync(fd()), 0); }
};

template <class Kind>
std::unique_ptr<kind> make_with_slow_file(std::string& why_not) {
  auto file = slow_file::create(why_not);
  return file == nullptr ? nullptr : std::make_unique<Kind>(std::move(file));
}

// Names are asked for at an address of this machine, where nobody answers before open(). The worker that asks has an
// /etc of its own; that ends with the worker.
class name_of_a_late_resolver final : public kind {
 public:
  ~name_of_a_late_resolver() override {
    answering_.open();
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
    if (server_.joinable()) server_.join();
    if (socket_ >= 0) ::close(socket_);
  }

  static std::unique_ptr<kind> make(std::string& why_not) {
    auto made = std::make_unique<name_of_a_late_resolver>();
    std::thread{[&] { why_not = own_etc(); }}.join();  // may a thread have one?
    if (why_not.empty()) why_not = made->listen();
    return why_not.empty() ? std::move(made) : nullptr;
  }

  void wait() override {
    ASSERT_EQ(own_etc(), "");
    addrinfo wanted{};
    wanted.ai_family = AF_INET;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int result = ::getaddrinfo("late.test.", nullptr, &wanted, &found);
    EXPECT_EQ(result, 0) << ::gai_strerror(result);
    if (result == 0) ::freeaddrinfo(found);
  }
  void open() override { answering_.open(); }

 private:
  static constexpr const char* address = "127.53.53.53";

  static std::string own_etc() {
    if (::unshare(CLONE_NEWNS) != 0) return failed("unshare");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("mount");
    if (::mount("own_etc", "/etc", "tmpfs", 0, nullptr) != 0) return failed("mount");
    std::ofstream{"/etc/resolv.conf"} << "nameserver " << address << "\noptions timeout:30 attempts:1\n";
    std::ofstream{"/etc/nsswitch.conf"} << "hosts: dns\n";
    return "";
  }

  std::string listen() {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_port = ::htons(53);
    ::inet_pton(AF_INET, address, &own.sin_addr);
    socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return failed("socket");
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) return failed("bind to port 53");
    server_ = std::thread{[this] { serve(); }};
    return "";
  }

  // One question, one answer: an address that is kept for documents.
  void serve() {
    std::array<char, 512> message{};
    sockaddr_in who{};
    socklen_t length = sizeof who;
    const ssize_t got =
        ::recvfrom(socket_, message.data(), message.size() / 2, 0, reinterpret_cast<sockaddr*>(&who), &length);
    if (got < 12) return;  // shut down
    answering_.wait();
    constexpr std::string_view flags{"\x81\x80\0\1\0\1\0\0\0\0", 10};  // an answer; 1 question, 1 answer, no more
    constexpr std::string_view answer{"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1", 16};
    constexpr std::string_view name{"\4late\4test\0\0\1\0\1", 15};
    std::memcpy(message.data() + 2, flags.data(), flags.size());
    std::memcpy(message.data() + 12, name.data(), name.size());
    std::memcpy(message.data() + 12 + name.size(), answer.data(), answer.size());
    ::sendto(socket_, message.data(), 12 + name.size() + answer.size(), 0, reinterpret_cast<sockaddr*>(&who), length);
  }

  gate answering_;
  int socket_ = -1;
  std::thread server_;
};

}  // namespace

std::vector<kind_maker> kinds_of_slow_files() {
  return {
      {"missing_page", missing_page::make},
      {"read_of_a_slow_file", make_with_slow_file<read_of_a_slow_file>},
      {"page_of_a_slow_file", make_with_slow_file<page_of_a_slow_file>},
      {"fsync_of_a_slow_file", make_with_slow_file<fsync_of_a_slow_file>},
      {"getaddrinfo", name_of_a_late_resolver::make},
  };
}

}  // namespace wring::test
