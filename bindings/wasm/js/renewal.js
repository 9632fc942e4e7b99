// Carries out the tasks of the keeper for a renewal, with the store of this session.

import { run } from './driver.js'

/** The page's clock in seconds, and 32 random bytes. */
export const moment = () => [Date.now() / 1000, crypto.getRandomValues(new Uint8Array(32))]

/** `store` has `load()`, `save(record, version)`, `changed()`, `lease()` and `giveBack()`. */
export async function keep(keeper, store, config) {
  try {
    let task = keeper.begin(...moment())
    for (;;) {
      const { kind } = task
      if (kind === 'over') return
      task = await steps[kind](keeper, task, store, config)
    }
  } catch (error) {
    // After the last task this changes nothing.
    keeper.abandon(...moment())
    throw error
  }
}

const steps = {
  async load(keeper, _, store) {
    const entry = await store.load()
    return keeper.loaded(...moment(), entry?.version, entry?.record)
  },
  async lease(keeper, { millis }, store) {
    await (millis > 0 ? store.lease() : store.giveBack())
    return keeper.leased(...moment())
  },
  async save(keeper, { record, version }, store) {
    const saved = await store.save(record, version)
    const next = keeper.saved(...moment(), saved)
    store.changed()
    return next
  },
  async run(keeper, task, _, config) {
    // The keeper gets the outcome from the exchange itself.
    await run(task.exchange(), config).then((step) => step.free(), () => {})
    return keeper.completed(...moment())
  },
  async wait(keeper, { millis }) {
    await new Promise((wake) => setTimeout(wake, millis))
    return keeper.elapsed(...moment())
  },
}
