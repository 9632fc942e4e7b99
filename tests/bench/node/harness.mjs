// Shared by the Node.js measurements: alternating runs, medians, one line of JSON for each figure.

export const OURS = 'oauth-core'
export const CLIENT = { id: 's6BhdRkqt3', secret: '7Fjfp0ZBr1KtDRbnfVdmIw' }

/** Inputs that differ from call to call, so that nothing can be cached. */
export const SCOPES = Array.from({ length: 16 }, (_, n) => `read:${n} write:${n}`)

/**
 * Prints one figure for the command that runs this. The budget is for our side of it; the pace is
 * another side, and what it took on the machine that the budget was set on.
 */
export function printFigure(what, unit, sides, { budget, pace } = {}) {
  console.log(JSON.stringify({ what, unit, sides: Object.entries(sides), budget, pace }))
}

/** Runs A B C A B C ...; the first round is not counted. */
export async function inTurns(sides, rounds) {
  const results = Object.fromEntries(Object.keys(sides).map((name) => [name, []]))
  for (let turn = 0; turn <= rounds; turn += 1) {
    for (const [name, run] of Object.entries(sides)) {
      const result = await run()
      if (turn > 0) results[name].push(result)
    }
  }
  return results
}

/** The median of each side, or of one member of its results. */
export function medians(results, member) {
  const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1]
  const entries = Object.entries(results)
  return Object.fromEntries(entries.map(([name, runs]) => [name, median(member ? runs.map((run) => run[member]) : runs)]))
}

/** CPU microseconds, user and system, of every thread of this process. */
export async function measureCpu(work) {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return user + system
}

/** Every side must have the same result. */
export function requireSameResults(what, results) {
  const [[first, expected], ...others] = Object.entries(results)
  for (const [name, value] of others) {
    if (JSON.stringify(value) !== JSON.stringify(expected)) {
      throw new Error(`${what}: ${name} sent ${JSON.stringify(value)}, but ${first} ${JSON.stringify(expected)}`)
    }
  }
}
