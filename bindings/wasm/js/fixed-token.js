// A fixed token, such as one that a user created manually and pasted.

import { call } from './api.js'
import { ready } from './wasm.js'

/** A source of one token, which is kept only in memory and never renewed. */
export const fixedToken = (token, { origins = [], expiresAt, ...config } = {}) =>
  new FixedToken(token, origins, expiresAt, config)

class FixedToken {
  #context

  constructor(token, origins, expiresAt, config) {
    if (typeof token !== 'string') throw new TypeError('token must be a string')
    const end = expiresAt === undefined ? undefined : Math.floor(expiresAt.getTime() / 1000)
    if (Number.isNaN(end)) throw new TypeError('expiresAt must be a Date')
    const prepared = async () => {
      const wasm = await ready(config.wasm)
      const tokens = wasm.Tokens.bearer(token, end)
      const checked = (isRefused) => {
        tokens.checkFixed(Date.now() / 1000, isRefused)
        return tokens
      }
      // The token is not discarded, because no other can replace it.
      const source = { token: () => checked(false), renew: () => checked(true), refuse() {} }
      const { checkOrigins } = await import('./setting-names.js')
      checkOrigins(origins)
      const api = new wasm.Api([...origins].map(String), Boolean(config.loopback))
      return { wasm, api, source, config }
    }
    let context
    this.#context = () => (context ??= prepared())
  }

  /** The token, unless it has expired. */
  async token() {
    const { source } = await this.#context()
    return source.token().accessToken
  }

  /** `fetch` with the token: to its origins only. */
  async fetch(input, init) {
    return call(await this.#context(), input, init)
  }
}
