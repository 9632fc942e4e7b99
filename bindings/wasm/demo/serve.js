// Serves the demo page and the test server it signs in to: npm run demo

import { pages, twins } from '../test/world.js'

const served = await pages('demo/index.html', { '/demo/config.json': () => JSON.stringify({ server }) })
const { generic: server } = await twins(served.origin)
console.log(`${served.origin}/demo/`)
