// SPDX-License-Identifier: Apache-2.0

#include "detection/slow_file.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>

namespace wring::test {
namespace {

std::string failed(const char* call) { return std::string{call} + ": " + std::strerror(errno); }

void reply(int device, std::uint64_t request, int error, const void* body, std::size_t bytes) {
  fuse_out_header head{static_cast<std::uint32_t>(sizeof(fuse_out_header) + bytes), -error, request};
  const std::array<iovec, 2> parts{iovec{&head, sizeof head}, iovec{const_cast<void*>(body), bytes}};
  // Whoever asked may have been interrupted; then there is nobody to tell.
  [[maybe_unused]] const ssize_t sent = ::writev(device, parts.data(), bytes == 0 ? 1 : 2);
}

template <class Body>
void reply(int device, std::uint64_t request, const Body& body) {
  reply(device, request, 0, &body, sizeof body);
}

fuse_attr_out attributes() {
  fuse_attr_out out{};
  out.attr.ino = FUSE_ROOT_ID;
  out.attr.size = slow_file::bytes;
  out.attr.mode = S_IFREG | 0600;
  out.attr.nlink = 1;
  return out;
}

fuse_init_out terms() {
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  out.max_write = slow_file::bytes;
  return out;
}

// In the child process. Ends when the file is closed, and so the file system gone.
[[noreturn]] void serve(int device, int held) {
  alignas(fuse_in_header) static std::array<char, FUSE_MIN_READ_BUFFER + slow_file::bytes> request{};
  static constexpr std::array<char, slow_file::bytes> page{};
  const auto wait_until_let_go = [held] {
    char none = 0;
    [[maybe_unused]] const ssize_t end = ::read(held, &none, 1);
  };
  while (::read(device, request.data(), request.size()) >= 0 || errno == EINTR || errno == ENOENT) {
    fuse_in_header head{};
    std::memcpy(&head, request.data(), sizeof head);
    switch (head.opcode) {
      case FUSE_INIT: reply(device, head.unique, terms()); break;
      case FUSE_GETATTR: reply(device, head.unique, attributes()); break;
      case FUSE_OPEN: reply(device, head.unique, fuse_open_out{}); break;
      case FUSE_READ:
        wait_until_let_go();
        reply(device, head.unique, 0, page.data(), page.size());
        break;
      case FUSE_FSYNC:
        wait_until_let_go();
        reply(device, head.unique, 0, nullptr, 0);
        break;
      case FUSE_FLUSH:
      case FUSE_RELEASE: reply(device, head.unique, 0, nullptr, 0); break;
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT: break;  // these want no answer
      default: reply(device, head.unique, ENOSYS, nullptr, 0); break;
    }
  }
  ::_exit(0);
}

}  // namespace

std::unique_ptr<slow_file> slow_file::create(std::string& why_not) {
  std::unique_ptr<slow_file> made{new slow_file};
  made->folder_.write("file", "");
  std::thread{[&] { why_not = made->mount_and_open(); }}.join();  // the thread has the mount namespace
  return why_not.empty() ? std::move(made) : nullptr;
}

std::string slow_file::mount_and_open() {
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return failed("/dev/fuse");
  const std::string path = folder_.path("file");
  const std::string options = "fd=" + std::to_string(device) + ",rootmode=100600,user_id=0,group_id=0";
  std::string wrong;
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("slow_file", path.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0 ||
      ::pipe2(held_.data(), O_CLOEXEC) != 0) {
    wrong = failed("mounting a file of its own");
    ::close(device);
    return wrong;
  }
  server_ = ::fork();
  if (server_ == 0) {
    ::close(held_[1]);
    serve(device, held_[0]);
  }
  ::close(device);  // if the server dies, what waits for it fails
  file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat known {};  // without it the kernel would know no size, and a mapping no page
  if (file_ < 0 || ::fstat(file_, &known) != 0) wrong = failed("opening it");
  ::umount2(path.c_str(), MNT_DETACH);  // from here on only the open file keeps it
  return wrong;
}

void slow_file::let_go() {
  if (held_[1] >= 0) ::close(std::exchange(held_[1], -1));
}

slow_file::~slow_file() {
  let_go();
  if (file_ >= 0) ::close(file_);  // with it the file system ends, and then the server
  if (server_ > 0) ::waitpid(server_, nullptr, 0);
  if (held_[0] >= 0) ::close(held_[0]);
}

}  // namespace wring::test
