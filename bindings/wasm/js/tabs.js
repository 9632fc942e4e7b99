// The tabs of one origin that share a session: they exchange tokens, and only one of them refreshes at a time.
//
// Web Locks let one tab refresh at a time. Without them, tabs use messages (Ricart and Agrawala, 1981): a tab that
// wants to refresh requests permission from every other tab; of two such tabs, the earlier one goes first.

import { random } from './random.js'

/** The time to wait for other tabs' answers, in milliseconds. */
const MAX_WAIT_MS = 300
/** The silence after which a tab counts as closed, in milliseconds. */
const MAX_SILENCE_MS = 1000
/** How long a tab that is refreshing may take, in milliseconds: the limit of a token request, and a margin. */
const MAX_REFRESH_MS = 40_000

/** The other tabs, as one session sees them. */
export class Tabs {
  #id = random()
  #channel
  #locks
  #name
  #peers = new Set()
  #session
  /** The handler of each kind of answer. */
  #waiting = new Map()
  #ticket
  #deferred = []
  #release

  /** `session` has `share(asked)`, `adopt(share)` and `ended(sid)`. */
  constructor(name, session) {
    this.#name = name
    this.#session = session
    this.#locks = globalThis.navigator?.locks
    if (typeof BroadcastChannel === 'undefined') return
    this.#channel = new BroadcastChannel(name)
    this.#channel.onmessage = ({ data }) => this.#receive(data)
    addEventListener('pagehide', this.#leave)
    addEventListener('pageshow', this.#greet)
    this.#greet()
  }

  /** Waits until no other tab refreshes, and prevents that until `release`. */
  acquire() {
    return new Promise((granted, failed) => {
      const work = () =>
        new Promise((release) => {
          this.#release = release
          granted()
        })
      const locked = this.#locks ? this.#locks.request(this.#name, work) : this.#withPermission(work)
      locked.catch(failed)
    })
  }

  /** Lets other tabs refresh; without a previous `acquire`, this changes nothing. */
  release() {
    this.#release?.()
    this.#release = undefined
  }

  /** A newer record than this one, if another tab has one. */
  async newer(query) {
    if (!this.#channel || this.#peers.size === 0) return undefined
    return this.#askTabs(query, new Set(this.#peers))
  }

  /** The record of any tab. */
  async any() {
    // The other tabs are not known yet, so this waits for the whole time limit.
    return this.#channel && this.#askTabs({}, undefined)
  }

  /** Sends new tokens to every tab. */
  spread(share) {
    this.#post({ type: 'tokens', share })
  }

  /** Notifies every tab that the session has ended. */
  end(sid) {
    this.#post({ type: 'out', sid })
  }

  /** Leaves permanently. */
  close() {
    this.release()
    this.#leave()
    removeEventListener('pagehide', this.#leave)
    removeEventListener('pageshow', this.#greet)
    this.#channel?.close()
    this.#channel = undefined
  }

  #greet = () => this.#post({ type: 'hello' })
  #leave = () => this.#post({ type: 'bye' })

  #post(message) {
    this.#channel?.postMessage({ ...message, from: this.#id })
  }

  #receive(message) {
    const { type, from, to } = message
    if (to !== undefined && to !== this.#id) return
    if (type !== 'bye') this.#peers.add(from)
    switch (type) {
      case 'hello':
        return this.#post({ type: 'here', to: from })
      case 'bye':
        this.#peers.delete(from)
        return this.#waiting.forEach((settle) => settle({ type, from }))
      case 'ask':
        return this.#post({ type: 'answer', to: from, share: this.#session.share(message.asked) })
      case 'tokens':
        return this.#session.adopt(message.share)
      case 'out':
        return this.#session.ended(message.sid)
      case 'want':
        return this.#grantTicket(message)
      default:
        return this.#waiting.get(type)?.(message)
    }
  }

  /** The first record that is newer than `query`; `peers` are the tabs to wait for, if known. */
  #askTabs(query, peers) {
    return new Promise((resolve) => {
      const end = (share) => {
        clearTimeout(timer)
        this.#waiting.delete('answer')
        resolve(share)
      }
      const timer = setTimeout(() => {
        // A tab that is silent for so long is frozen or closed; it announces itself when it is back.
        peers?.forEach((peer) => this.#peers.delete(peer))
        end()
      }, MAX_WAIT_MS)
      this.#waiting.set('answer', ({ from, share }) => {
        peers?.delete(from)
        if (share || peers?.size === 0) end(share)
      })
      this.#post({ type: 'ask', asked: query })
    })
  }

  async #withPermission(work) {
    // All tabs share one wall clock; the tabs' names break ties.
    this.#ticket = [Date.now(), this.#id]
    try {
      await this.#permission(new Set(this.#peers))
      return await work()
    } finally {
      this.#ticket = undefined
      for (const to of this.#deferred.splice(0)) this.#post({ type: 'go', to })
    }
  }

  #permission(peers) {
    if (peers.size === 0) return undefined
    return new Promise((resolve) => {
      let timer
      const end = () => {
        clearTimeout(timer)
        this.#waiting.delete('go')
        this.#waiting.delete('wait')
        resolve()
      }
      const waitAtMost = (millis) => {
        clearTimeout(timer)
        timer = setTimeout(end, millis)
      }
      this.#waiting.set('wait', () => waitAtMost(MAX_REFRESH_MS))
      this.#waiting.set('go', ({ from }) => {
        peers.delete(from)
        if (peers.size === 0) end()
      })
      waitAtMost(MAX_SILENCE_MS)
      this.#post({ type: 'want', ticket: this.#ticket })
    })
  }

  #grantTicket({ from, ticket }) {
    const ownTicket = this.#ticket
    const goesFirst = ownTicket && (ownTicket[0] < ticket[0] || (ownTicket[0] === ticket[0] && ownTicket[1] < ticket[1]))
    if (goesFirst) this.#deferred.push(from)
    this.#post({ type: goesFirst ? 'wait' : 'go', to: from })
  }
}

/** For a session that is not shared with other tabs. */
export class Alone {
  acquire = async () => {}
  release() {}
  newer = async () => undefined
  any = async () => undefined
  spread() {}
  end() {}
  close() {}
}
