'use strict'

// The name of this platform in file and package names, such as `linux-x64-gnu`.
function platform({ platform, arch, report } = process) {
  if (platform === 'win32') return `win32-${arch}-msvc`
  if (platform !== 'linux') return `${platform}-${arch}`
  // Node says which C library it runs on, by naming the version of the one it was built for.
  const libc = report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'
  return `linux-${arch}-${libc}`
}

module.exports = { platform }
