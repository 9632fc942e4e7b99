// Pending authorization flows, in this tab's sessionStorage: other tabs cannot read them, and they end with the tab.
// Sessions are kept in storage.js.

const STORAGE_PREFIX = 'oauth-core:pending:'
/** Flows without a callback are removed after this many milliseconds. */
const MAX_AGE_MS = 60 * 60 * 1000

/** Stores a flow under its state. */
export function keep(state, flow) {
  for (const [key, { at }] of allFlows()) {
    if (Date.now() - at > MAX_AGE_MS) sessionStorage.removeItem(key)
  }
  sessionStorage.setItem(STORAGE_PREFIX + state, JSON.stringify({ ...flow, at: Date.now() }))
}

/** The flow to which a callback belongs, and whether there is any flow. Nothing is removed. */
export function find(callback, recognizes) {
  const flows = allFlows()
  const match = flows.find(([, flow]) => recognizes(flow.pending, callback))
  return { own: match && { key: match[0], ...match[1] }, any: flows[0]?.[1] }
}

/** Removes a flow, which may be used only once. */
export const drop = (key) => sessionStorage.removeItem(key)

function allFlows() {
  const keys = Array.from({ length: sessionStorage.length }, (_, at) => sessionStorage.key(at))
  const flows = []
  for (const key of keys.filter((key) => key.startsWith(STORAGE_PREFIX))) {
    try {
      flows.push([key, JSON.parse(sessionStorage.getItem(key))])
    } catch {
      sessionStorage.removeItem(key)
    }
  }
  return flows
}
