'use strict'

// Loads the native half: a build in this checkout, or the installed package for this platform.

const { join } = require('node:path')
const { platform, targets } = require('./platform.cjs')

/** The error of a failed import. `OAuthError` does not exist yet, so it only has the same `code` and `advice`. */
class UnsupportedPlatform extends Error {
  constructor(platformKey, cause) {
    const todo = Object.hasOwn(targets, platformKey)
      ? `oauth-core-${platformKey} is not installed: reinstall oauth-core on this platform, with optional dependencies, ` +
        `or configure your bundler to copy that package or keep it external`
      : `it is not built for this platform, only for ${Object.keys(targets).join(', ')}`
    super(`oauth-core needs its native half for ${platformKey}: ${todo}`, { cause })
    this.code = 'misuse.setup'
    this.advice = 'give_up'
    this.platform = platformKey
  }
}
Object.defineProperty(UnsupportedPlatform.prototype, 'name', { value: 'UnsupportedPlatform' })

// Bundlers find literal names only, and tolerate a missing package only directly inside a `try`.
function installedAddon(platformKey) {
  try {
    switch (platformKey) {
      case 'darwin-arm64': return require('oauth-core-darwin-arm64')
      case 'darwin-x64': return require('oauth-core-darwin-x64')
      case 'linux-arm64-gnu': return require('oauth-core-linux-arm64-gnu')
      case 'linux-arm64-musl': return require('oauth-core-linux-arm64-musl')
      case 'linux-x64-gnu': return require('oauth-core-linux-x64-gnu')
      case 'linux-x64-musl': return require('oauth-core-linux-x64-musl')
      case 'win32-arm64-msvc': return require('oauth-core-win32-arm64-msvc')
      case 'win32-x64-msvc': return require('oauth-core-win32-x64-msvc')
      default: throw new Error(`unknown platform ${platformKey}`)
    }
  } catch (error) {
    return { failure: error }
  }
}

// Not `require`: a bundler would search for the file, which the published package lacks.
function builtInCheckout(platformKey) {
  const addon = { exports: {} }
  try {
    process.dlopen(addon, join(__dirname, `../native/oauth-core.${platformKey}.node`))
    return addon.exports
  } catch (error) {
    return { failure: error }
  }
}

function load(platformKey) {
  const failures = []
  for (const found of [builtInCheckout, installedAddon]) {
    const addon = found(platformKey)
    if (!addon.failure) return addon
    failures.push(addon.failure)
  }
  throw new UnsupportedPlatform(platformKey, new AggregateError(failures))
}

module.exports = load(platform())
