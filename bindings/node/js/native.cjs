'use strict'

// The native half: the installed package for this platform, or the build of a checkout.

const { join } = require('node:path')
const { platform, targets } = require('./platform.cjs')

/** The error of the import itself, before the class `OAuthError` exists: it has the same `code` and `advice`. */
class UnsupportedPlatform extends Error {
  constructor(here, cause) {
    const todo = Object.hasOwn(targets, here)
      ? `oauth-core-${here} is not installed: install oauth-core anew on this platform, with optional dependencies, ` +
        `or tell your bundler to copy that package or to leave it outside`
      : `there is none; there are ${Object.keys(targets).join(', ')}`
    super(`oauth-core needs its native half for ${here}: ${todo}`, { cause })
    this.code = 'misuse.setup'
    this.advice = 'give_up'
    this.platform = here
  }
}
Object.defineProperty(UnsupportedPlatform.prototype, 'name', { value: 'UnsupportedPlatform' })

// Bundlers see literal names only, and forgive a missing package only directly inside a `try`.
function installed(here) {
  try {
    switch (here) {
      case 'darwin-arm64': return require('oauth-core-darwin-arm64')
      case 'darwin-x64': return require('oauth-core-darwin-x64')
      case 'linux-arm64-gnu': return require('oauth-core-linux-arm64-gnu')
      case 'linux-arm64-musl': return require('oauth-core-linux-arm64-musl')
      case 'linux-x64-gnu': return require('oauth-core-linux-x64-gnu')
      case 'linux-x64-musl': return require('oauth-core-linux-x64-musl')
      case 'win32-arm64-msvc': return require('oauth-core-win32-arm64-msvc')
      case 'win32-x64-msvc': return require('oauth-core-win32-x64-msvc')
      default: throw new Error(`unknown platform ${here}`)
    }
  } catch (error) {
    return { failure: error }
  }
}

// No `require`: a bundler would look for a file that the published package does not have.
function beside(here) {
  const half = { exports: {} }
  try {
    process.dlopen(half, join(__dirname, `../native/oauth-core.${here}.node`))
    return half.exports
  } catch (error) {
    return { failure: error }
  }
}

function load(here) {
  const failures = []
  for (const found of [beside, installed]) {
    const half = found(here)
    if (!half.failure) return half
    failures.push(half.failure)
  }
  throw new UnsupportedPlatform(here, new AggregateError(failures))
}

module.exports = load(platform())
