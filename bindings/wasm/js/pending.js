// Flows that wait for their callback, in this tab's sessionStorage: no other tab can see them, and
// they end with the tab.

const PREFIX = 'oauth-core:pending:'
/** Flows that nobody came back from are forgotten after this many milliseconds. */
const LIFETIME = 60 * 60 * 1000

/** Keeps a flow under its state. */
export function keep(state, flow) {
  for (const [key, { at }] of all()) {
    if (Date.now() - at > LIFETIME) sessionStorage.removeItem(key)
  }
  sessionStorage.setItem(PREFIX + state, JSON.stringify({ ...flow, at: Date.now() }))
}

/** The flow whose callback this is, and any flow at all. Nothing is removed. */
export function find(callback, recognizes) {
  const flows = all()
  const own = flows.find(([, flow]) => recognizes(flow.pending, callback))
  return { own: own && { key: own[0], ...own[1] }, any: flows[0]?.[1] }
}

/** Forgets a flow: it is used once, whatever comes of it. */
export const drop = (key) => sessionStorage.removeItem(key)

function all() {
  const keys = Array.from({ length: sessionStorage.length }, (_, at) => sessionStorage.key(at))
  const flows = []
  for (const key of keys.filter((key) => key.startsWith(PREFIX))) {
    try {
      flows.push([key, JSON.parse(sessionStorage.getItem(key))])
    } catch {
      sessionStorage.removeItem(key)
    }
  }
  return flows
}
