/**
 * Makes the orders that `npm run demo` sends: `node tools/make-orders.ts > examples/import/orders.csv`. They are invented,
 * and the same each time, so that a test can hold the file to this program.
 */
const COUNT = 2_000
const FIRST = Date.UTC(2026, 9, 1, 6)

const customers = [
  ['Ada Byron', 'London'],
  ['Zoë Müller', 'Köln'],
  ['José García', 'Sevilla'],
  ['Łucja Nowak', 'Gdańsk'],
  ['李娜', '杭州'],
  ['王伟', '成都'],
  ['佐藤 美咲', '札幌'],
  ['Νίκος Παππάς', 'Θεσσαλονίκη'],
  ['Amina Diallo', 'Dakar'],
  ['Søren Kjær', 'Århus'],
  ['Priya Sharma', 'Pune'],
  ['Chloé Lefèvre', 'Lille'],
] as const

/** Name and price in cents. */
const items = [
  ['rye flour 1 kg', 289],
  ['spelt flour 5 kg', 1190],
  ['oat flakes 500 g', 175],
  ['millet 1 kg', 320],
  ['buckwheat 1 kg', 410],
  ['grain mill, hand', 8900],
  ['grain mill, electric', 34900],
  ['proofing basket', 1450],
  ['dough scraper', 590],
  ['bread tin', 1290],
] as const

/** A linear congruential generator (Numerical Recipes): enough for a list of orders. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const random = makeRandom(1893)
let at = FIRST
console.log('order;placed;customer;city;item;quantity;cents')
for (let order = 1; order <= COUNT; order++) {
  at += 1_000 * (5 + random(600))
  const [customer, city] = customers[random(customers.length)]!
  const [item, price] = items[random(items.length)]!
  const quantity = 1 + Math.floor(random(100) ** 2 / 1_200)
  const id = `M-${String(order).padStart(5, '0')}`
  console.log([id, new Date(at).toISOString(), customer, city, item, quantity, quantity * price].join(';'))
}
