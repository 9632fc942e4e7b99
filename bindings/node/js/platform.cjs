'use strict'

// The platforms that the native half is built for, and their Rust targets.
const targets = {
  'darwin-arm64': 'aarch64-apple-darwin',
  'darwin-x64': 'x86_64-apple-darwin',
  'linux-arm64-gnu': 'aarch64-unknown-linux-gnu',
  'linux-arm64-musl': 'aarch64-unknown-linux-musl',
  'linux-x64-gnu': 'x86_64-unknown-linux-gnu',
  'linux-x64-musl': 'x86_64-unknown-linux-musl',
  'win32-arm64-msvc': 'aarch64-pc-windows-msvc',
  'win32-x64-msvc': 'x86_64-pc-windows-msvc',
}

// The name of this platform in file and package names, such as `linux-x64-gnu`.
function platform({ platform, arch, report } = process) {
  if (platform === 'win32') return `win32-${arch}-msvc`
  if (platform !== 'linux') return `${platform}-${arch}`
  // Node.js reports the version of glibc it runs on, if it was built for glibc.
  const libc = report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'
  return `linux-${arch}-${libc}`
}

module.exports = { platform, targets }
