import { reactRouter } from '@react-router/dev/vite'

// Its native half is no JavaScript.
export default { plugins: [reactRouter()], ssr: { external: ['oauth-core'] }, logLevel: 'error' }
