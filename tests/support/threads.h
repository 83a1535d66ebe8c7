// SPDX-License-Identifier: Apache-2.0
// threads: real threads that start together, and what /proc says about those of this process.
#pragma once

#include <dirent.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace wring::test {

// Calls body(index) on `count` threads that start together; returns when all have ended.
template <class Body>
void together(int count, const Body& body) {
  std::atomic<int> arrived{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      arrived.fetch_add(1);
      while (arrived.load() != count) std::this_thread::yield();
      body(i);
    });
  }
  for (std::thread& t : threads) t.join();
}

inline std::vector<std::string> entries_of(const char* folder) {
  std::vector<std::string> names;
  DIR* const d = ::opendir(folder);
  if (d == nullptr) return names;
  while (const dirent* e = ::readdir(d)) {
    if (e->d_name[0] != '.') names.emplace_back(e->d_name);
  }
  ::closedir(d);
  return names;
}

// Of the calling thread.
inline std::string own_name() {
  std::array<char, 16> name{};
  ::pthread_getname_np(::pthread_self(), name.data(), name.size());
  return name.data();
}

// As ps and top show it; empty: the thread has ended.
inline std::string name_of_thread(const std::string& id) {
  std::ifstream file{"/proc/self/task/" + id + "/comm"};
  std::string name;
  std::getline(file, name);
  return name;
}

// The names of this process's threads.
inline std::vector<std::string> thread_names() {
  std::vector<std::string> names;
  for (const std::string& id : entries_of("/proc/self/task")) {
    if (std::string name = name_of_thread(id); !name.empty()) names.push_back(std::move(name));
  }
  return names;
}

// How many threads have a name that begins so.
inline std::size_t threads_named(const std::string& prefix) {
  std::size_t n = 0;
  for (const std::string& name : thread_names()) n += name.starts_with(prefix) ? 1U : 0U;
  return n;
}

}  // namespace wring::test
