// The page that the server sends the person back to.

import { nameOf, prepare } from './config.js'
import { shownPage } from './observe.js'
import { drop, find } from './pending.js'
import { deliver } from './popup.js'
import { run } from './run.js'
import { begin, resume } from './session.js'
import { ready } from './wasm.js'

/** The callback being handled: a page that asks twice about the same gets the same answer. */
let current = {}

/**
 * Takes the callback out of the page's address and redeems it. Without one in it, this is
 * `restore`. In a popup, it hands the callback to the page that opened it.
 */
export async function handleCallback(config) {
  const callback = location.href
  const { redirectUri } = config
  const added = callback.startsWith(redirectUri) && location.search !== new URL(redirectUri).search
  if (added) {
    current = { promise: redeem(config, callback) }
    const { promise } = current
    // The code must not stay in the address bar, the history or a referrer, whatever comes of it.
    history.replaceState(history.state, '', redirectUri)
    const over = () => {
      if (current.promise === promise) current = {}
    }
    promise.then(over, over)
  }
  return current.promise ?? restore(config)
}

async function redeem(config, callback) {
  const wasm = await ready(config.wasm)
  const { own, any } = find(callback, wasm.recognises)
  // Used once, whatever comes of it. A callback that belongs to no flow of this tab ends none.
  if (own) drop(own.key)
  else if (deliver(callback, config.redirectUri)) return null
  config.observe?.(shownPage('callback', callback))
  if (!own && !any) throw wasm.strangerError()
  const { server, client } = await prepare(config, (own ?? any).server)
  const tokens = (await run(client.redeem((own ?? any).pending, callback), config)).tokens()
  return begin({ wasm, server, client, config, name: nameOf(server, config) }, tokens)
}

/** The session that another tab of this client holds, or that this tab kept; or `null`. */
export async function restore(config) {
  const { wasm, server, client } = await prepare(config)
  return resume({ wasm, server, client, config, name: nameOf(server, config) })
}
