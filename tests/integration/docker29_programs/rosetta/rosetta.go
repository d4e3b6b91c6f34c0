// Copyright (c) 2026 nodeforge.kic contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package rosetta answers a question that docker's client asks: no test runs under the translator of a Mac. The module
// that it asks has no release, so that not every module proxy has it.
package rosetta

// Enabled tells whether this process is translated.
func Enabled() bool { return false }
