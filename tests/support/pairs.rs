//! Pairs of texts that are alike in every way that a comparison may stumble over, from a seed.

/// A generator with a seed (SplitMix64).
pub(crate) struct Pairs(pub(crate) u64);

impl Pairs {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not zero.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// A pair, neither text much longer than `size`.
    pub(crate) fn pair(&mut self, size: usize) -> (Vec<u8>, Vec<u8>) {
        let length = self.below(size + 1);
        let old = self.text(length);
        let new = match self.below(12) {
            0 => self.text(length),
            1 => {
                let other = self.below(size + 1);
                self.text(other)
            }
            2 => old.clone(),
            3 => self.moved(&old),
            4 => crlf(&old),
            5 => self.shuffled(&old),
            6 => self.near(&old),
            7 => old[..self.below(old.len() + 1)].to_vec(),
            _ => {
                let edits = self.below(old.len() / 8 + 3);
                self.edited(&old, edits)
            }
        };
        if self.below(2) == 0 { (old, new) } else { (new, old) }
    }

    pub(crate) fn text(&mut self, length: usize) -> Vec<u8> {
        let letters: &[u8] = match self.below(7) {
            0 => b"a",
            1 => b"ab",
            2 => b"ACGT",
            3 => b"abc \n",
            4 => return (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect(),
            5 => return self.prose(length),
            _ => return self.repeated(length),
        };
        (0..length).map(|_| letters[self.below(letters.len())]).collect()
    }

    /// Words of a small vocabulary, in lines.
    pub(crate) fn prose(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < length {
            let word = self.below(300);
            text.extend(format!("{}{}", ["re", "un", "mis", "over"][word % 4], word * 7).bytes());
            text.push(if self.below(9) == 0 { b'\n' } else { b' ' });
        }
        text.truncate(length);
        text
    }

    fn repeated(&mut self, length: usize) -> Vec<u8> {
        let period = 1 + self.below(40);
        let part = self.prose(period);
        part.iter().copied().cycle().take(length).collect()
    }

    /// With so many bytes inserted, deleted or replaced, half of them in one place.
    pub(crate) fn edited(&mut self, old: &[u8], edits: usize) -> Vec<u8> {
        let mut new = old.to_vec();
        let (place, spread) = (self.below(old.len() + 1), self.below(2) == 0);
        for _ in 0..edits {
            let at = if spread { self.below(new.len() + 1) } else { (place + self.below(9)).min(new.len()) };
            let byte = if old.is_empty() { b'a' } else { old[self.below(old.len())] };
            match self.below(3) {
                0 => new.insert(at, byte),
                1 if at < new.len() => drop(new.remove(at)),
                _ if at < new.len() => new[at] = byte,
                _ => {}
            }
        }
        new
    }

    /// With a stretch taken elsewhere.
    pub(crate) fn moved(&mut self, old: &[u8]) -> Vec<u8> {
        let (x, y) = (self.below(old.len() + 1), self.below(old.len() + 1));
        let (from, to) = (x.min(y), x.max(y));
        let mut rest = [&old[..from], &old[to..]].concat();
        let at = self.below(rest.len() + 1);
        rest.splice(at..at, old[from..to].iter().copied());
        rest
    }

    /// With the lines in another order.
    pub(crate) fn shuffled(&mut self, old: &[u8]) -> Vec<u8> {
        let mut lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
        for at in (1..lines.len()).rev() {
            lines.swap(at, self.below(at + 1));
        }
        lines.concat()
    }

    /// With just about as many bytes inserted as are allowed at 0.98, at 0.9, or at 0.5.
    pub(crate) fn near(&mut self, old: &[u8]) -> Vec<u8> {
        let n = old.len();
        let allowed = [n * 2 / 49, n * 2 / 9, n * 2][self.below(3)];
        let count = (allowed + self.below(3)).saturating_sub(1);
        let mut new = old.to_vec();
        for _ in 0..count {
            let at = self.below(new.len() + 1);
            new.insert(at, 0x01);
        }
        new
    }
}

/// With CRLF where there is LF.
pub(crate) fn crlf(old: &[u8]) -> Vec<u8> {
    old.iter().flat_map(|byte| if *byte == b'\n' { b"\r\n".to_vec() } else { vec![*byte] }).collect()
}
