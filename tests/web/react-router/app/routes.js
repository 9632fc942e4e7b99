import { index, route } from '@react-router/dev/routes'

export default [
  index('routes/home.jsx'),
  route('auth/*', 'routes/auth.js'),
  route('me', 'routes/me.jsx'),
  route('pay', 'routes/pay.jsx'),
  route('fetch', 'routes/fetch.jsx'),
]
