# SPDX-License-Identifier: Apache-2.0
"""gate: the parts of dev/test."""
