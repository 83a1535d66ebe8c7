# SPDX-License-Identifier: Apache-2.0
# iowq: threads for calls that block.
set(WRING_IOWQ_SOURCES
    iowq/credentials.cc
    iowq/control_groups.cc
    iowq/identity.cc
    iowq/identity_capture.cc
    iowq/places.cc
    iowq/priorities.cc
    iowq/spaces.cc
    iowq/wardrobe.cc)
