// SPDX-License-Identifier: Apache-2.0
// plugin host: `plugin_host PLUGIN goes|stays` loads a plugin that uses wring, uses it and closes it, 100 times.
//
// A plugin that is linked with libwring.so is unloaded each time and loses its static queue and items; one that has
// wring inside stays loaded, for the threads in it do. The program itself knows nothing of wring. The exit status says
// whether all was well.
#include "support/threads.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

constexpr int loads = 100;

void demand(bool holds, const char* what) {
  if (holds) return;
  const char* const reason = ::dlerror();
  std::fprintf(stderr, "plugin host: %s%s%s\n", what, reason != nullptr ? ": " : "", reason != nullptr ? reason : "");
  std::exit(1);
}

bool loaded(const char* plugin) {
  void* const still = ::dlopen(plugin, RTLD_NOW | RTLD_NOLOAD);
  if (still == nullptr) return false;
  ::dlclose(still);
  return true;
}

void use_once(const char* plugin, bool with_thread_local) {
  void* const handle = ::dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  demand(handle != nullptr, "the plugin cannot be loaded");
  const auto use = reinterpret_cast<int (*)(int, bool)>(::dlsym(handle, "plugin_use"));
  demand(use != nullptr, "the plugin has no plugin_use");
  demand(use(50, with_thread_local) == 51, "not everything ran");
  ::dlclose(handle);
}

}  // namespace

int main(int count, char** arguments) {
  demand(count == 3, "usage: plugin_host PLUGIN goes|stays");
  const char* const plugin = arguments[1];
  const bool stays = arguments[2] == std::string_view{"stays"};
  std::size_t threads = 0;
  for (int i = 0; i < loads; ++i) {
    use_once(plugin, false);
    demand(loaded(plugin) == stays, stays ? "the plugin was unloaded" : "the plugin was not unloaded");
    if (i == loads / 2) threads = wring::test::threads_named("wring/");
  }
  // Workers come and go as they like, but not one for each time.
  demand(wring::test::threads_named("wring/") < threads + loads / 4, "threads are left behind");
  // A worker that has thread-local variables of the plugin keeps it loaded until it ends.
  use_once(plugin, true);
  demand(loaded(plugin), "the plugin was unloaded under its thread-local variables");
  std::puts("1 passed, 0 failed, 0 skipped");
}
